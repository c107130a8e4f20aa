#pragma once
// The condition of an upstream that answers with what it must not: other bytes than asked for, no token, no
// length. Answered with 502 where one that does not answer at all gets 503.

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

}  // namespace stele::mirror
