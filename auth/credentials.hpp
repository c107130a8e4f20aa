#pragma once
// What a request presents in `Authorization`: a name and a password (Basic, RFC 7617), or a token (Bearer,
// RFC 6750).

#include <string>
#include <string_view>

#include "base/result.hpp"
#include "http/message.hpp"

namespace stele::auth {

// A secret: never in a log, a message or an event.
struct Credentials {
  enum class Scheme { none, basic, bearer };
  Scheme scheme = Scheme::none;
  std::string user;    // of Basic
  std::string secret;  // the password, or the token
};

// unauthorized when there is something that cannot be read; the message quotes nothing of it.
Result<Credentials> presented_credentials(const http::RequestHead&);

// The same from the value of one field.
Result<Credentials> parse_authorization(std::string_view value);

}  // namespace stele::auth
