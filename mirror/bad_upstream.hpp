#pragma once
// Conditions of a mirror with a status of their own. An upstream that answers with what it must not: other
// bytes than asked for, no token, no length: 502, where one that does not answer at all gets 503.

#include <string>

#include "base/error.hpp"

namespace stele::mirror {

inline Error bad_upstream(std::string message) {
  return Error(Errc::unavailable, std::move(message)).with("upstream", "answered wrongly");
}

inline bool is_bad_upstream(const Error& error) {
  return error.code() == Errc::unavailable && !error.details().empty() &&
         error.details().front().key == "upstream";
}

// This registry's own disk is full: 503, so that the client asks elsewhere.
inline Error not_kept(const Error& no_space) {
  return Error(Errc::unavailable,
               no_space.message() + "; what is not here is not fetched until there is room again");
}

}  // namespace stele::mirror
