#pragma once
// The handler in front of all faces of a listener: finds out who asks, once per request, and puts it into the
// exchange. A request whose identity does not hold goes no further.

#include "auth/authenticator.hpp"
#include "http/exchange.hpp"

namespace stele::api {

// Thread-safe. Both outlive it.
class IdentifyingHandler final : public http::Handler {
 public:
  IdentifyingHandler(const auth::Authenticator& authenticator, http::Handler& next)
      : authenticator_(authenticator), next_(next) {}
  Task<http::Response> handle(http::Exchange&) override;
  http::Response refuse(int status, std::string_view why) override { return next_.refuse(status, why); }

 private:
  const auth::Authenticator& authenticator_;
  http::Handler& next_;
};

}  // namespace stele::api
