#pragma once
// Who makes a request, and how that is known. Found out once per request, before anything is decided.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/principal.hpp"

namespace stele {

namespace policy {
class AccessRules;
}

// What an ID token says, as text: numbers and truth values as JSON writes them.
struct Claim {
  std::string name;
  std::string value;
};

// A value. Without anything proved: anonymous, from somewhere on the network.
struct Identity {
  enum class Method {
    none,         // nothing was proved
    loopback,     // nothing was proved, but the connection comes from this machine and through no proxy
    socket,       // the kernel vouches for the user at the other end of the local socket
    certificate,  // a verified client certificate
    password,     // a user name and its password, a robot's secret or an api token, in this request
    token,        // a token of this server's, made for whoever proved something before
  };
  Principal principal = Principal::anonymous();
  std::vector<std::string> groups = {};  // as rules name them, without "group:"
  // What a token is limited to, as "repository:<name>:<actions>" and "registry:catalog:*"; empty: not
  // limited. A token that grants nothing carries one that names nothing, such as "none".
  std::vector<std::string> scopes = {};
  // What a robot or an api token is limited to, whatever rules give it; null: not limited.
  std::shared_ptr<const policy::AccessRules> limits = {};
  // The robot's secret, the api token or the refresh token that it rests on, as the catalog numbers them; 0:
  // on none.
  std::int64_t login = 0;
  std::string issuer = {};         // of the ID token that it rests on, its URL; empty: it rests on none
  std::vector<Claim> claims = {};  // of that token
  Method method = Method::none;
  std::optional<std::int64_t> expires_at = {};  // seconds of the epoch; none: with the connection
  bool administrator = false;                   // the local socket's root, or the user that runs the server
  // Of the user, as he was when the password or the token was checked; empty: no user was.
  std::string fingerprint = {};
};

}  // namespace stele
