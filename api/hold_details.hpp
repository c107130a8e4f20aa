#pragma once
// Names and case numbers of legal holds are for those who may see holds.

#include "auth/access.hpp"
#include "base/error.hpp"

namespace stele::api {

// The error as it is, unless it tells of a hold to somebody without the right `hold`: then only that there is
// one.
// `repository`: of the request; empty where it has none.
Error for_the_eyes_of(const Identity&, const auth::Access&, const Error&, std::string_view repository);

// What it takes to see a hold.
inline constexpr auth::Needs seeing_holds(auth::Right::hold, {auth::Right::release_hold, auth::Right::audit},
                                          "seeing holds");

bool tells_of_hold(const Error&);
// Only that there is one.
Error without_hold_details(const Error&);

}  // namespace stele::api
