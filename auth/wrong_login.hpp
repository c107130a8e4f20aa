#pragma once
// The answers to whoever does not prove who he is. To a password: one, that tells nothing of what was wrong.
// To a token: why, since only its issuer can make one that comes near.

#include <string>

#include "base/result.hpp"

namespace stele::auth {

inline Error wrong_login() {
  return Error(Errc::unauthorized, "the user name or the password is wrong");
}

inline Error token_not_accepted(const std::string& why) {
  return Error(Errc::unauthorized, "the token is not accepted: " + why);
}

}  // namespace stele::auth
