#pragma once
// The one answer to whoever does not prove who he is: it tells nothing of what was wrong.

#include "base/result.hpp"

namespace stele::auth {

inline Error wrong_login() {
  return Error(Errc::unauthorized, "the user name or the password is wrong");
}

}  // namespace stele::auth
