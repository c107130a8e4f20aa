#pragma once
// Who is asking. Asked once per request, by the handler in front of all faces; the answer lives in the
// exchange.

#include <functional>
#include <string>

#include "auth/passwords.hpp"
#include "base/identity.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "http/exchange.hpp"

namespace stele::auth {

struct AuthenticatorSettings {
  // The server was set up for nobody but this machine: it listens on loopback and nothing says that others
  // reach it (client certificates, a proxy, an address for clients).
  bool for_this_machine_only = false;
  // Outlives the authenticator. Null: what requests present in Authorization is not looked at.
  Passwords* passwords = nullptr;
  // The address of whoever asks, behind trusted proxies. Empty: the connection's.
  std::function<std::string(const http::Exchange&)> client_address = {};
};

// Immutable; thread-safe. Called on I/O threads.
class Authenticator {
 public:
  explicit Authenticator(AuthenticatorSettings settings) : settings_(settings) {}

  // Awaitable, since passwords are hashed on a pool and directories are asked over the network. unauthorized
  // when something was presented and does not hold; what Passwords::check() says besides.
  Task<Result<Identity>> authenticate(const http::Exchange&) const;

  // From the connection and the head of the request alone.
  Identity of_connection(const http::Peer&, const http::RequestHead&) const;

 private:
  Task<Result<Identity>> by_password(const http::Exchange&, const Credentials&) const;

  const AuthenticatorSettings settings_;
};

// True when the request says that it came through a proxy (Forwarded, RFC 7239; Via, RFC 9110 7.6.3;
// X-Forwarded-*; X-Real-IP): the address of its connection is then not the address of whoever asks.
bool came_through_proxy(const http::RequestHead&);

}  // namespace stele::auth
