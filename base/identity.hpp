#pragma once
// Who makes a request, and how that is known. Found out once per request, before anything is decided.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/principal.hpp"

namespace stele {

// A value. Without anything proved: anonymous, from somewhere on the network.
struct Identity {
  enum class Method {
    none,         // nothing was proved
    loopback,     // nothing was proved, but the connection comes from this machine and through no proxy
    socket,       // the kernel vouches for the user at the other end of the local socket
    certificate,  // a verified client certificate
    password,     // a user name and its password, in this request
    token,        // a token of this server's, made for whoever proved something before
  };
  Principal principal = Principal::anonymous();
  std::vector<std::string> groups = {};  // as rules name them, without "group:"
  std::vector<std::string> scopes = {};  // what a token is limited to; empty: not limited
  Method method = Method::none;
  std::optional<std::int64_t> expires_at = {};  // seconds of the epoch; none: with the connection
  bool administrator = false;                   // the local socket's root, or the user that runs the server
};

}  // namespace stele
