#pragma once
// The handler in front of all faces of a listener: finds out who asks, once per request, and puts it into the
// exchange. A request whose identity does not hold goes no further. On the way back it adds to each 401 how
// to log in.

#include <utility>

#include "api/challenge.hpp"
#include "api/rate_limits.hpp"
#include "api/token/token_handler.hpp"
#include "auth/authenticator.hpp"
#include "http/exchange.hpp"

namespace stele::api {

// Thread-safe. The references outlive it.
class IdentifyingHandler final : public http::Handler {
 public:
  IdentifyingHandler(const auth::Authenticator& authenticator, http::Handler& next,
                     ChallengeSettings challenge = {}, TokenHandler* tokens = nullptr,
                     RequestLimits* limits = nullptr)
      : authenticator_(authenticator),
        next_(next),
        challenge_(std::move(challenge)),
        tokens_(tokens),
        limits_(limits) {}
  Task<http::Response> handle(http::Exchange&) override;
  http::Response refuse(int status, std::string_view why) override { return next_.refuse(status, why); }

 private:
  struct Outcome {
    bool refused = false;  // it went no further: what was presented did not hold, or it was one too many
    bool over = false;     // the client certificate with which the connection began
  };
  Task<http::Response> answer(http::Exchange&, Outcome&);

  const auth::Authenticator& authenticator_;
  http::Handler& next_;
  const ChallengeSettings challenge_;
  TokenHandler* const tokens_;   // null: no tokens are made
  RequestLimits* const limits_;  // null: there are none
};

}  // namespace stele::api
