#include "api/identifying_handler.hpp"

#include "api/error_response.hpp"
#include "auth/failures.hpp"

namespace stele::api {
namespace {

// What is asked of the server itself (probes, metrics) is never limited: who asks must be told.
bool is_limited(std::string_view path) {
  return path.starts_with("/v2") || path.starts_with("/api/") || path.starts_with("/token");
}

}  // namespace

Task<http::Response> IdentifyingHandler::answer(http::Exchange& http, Outcome& outcome) {
  const bool limited = limits_ && is_limited(challenge_.path_of(http.request()));
  if (limited && limits_->addresses.any()) {
    // Before anything is hashed or asked of others.
    const std::string network = auth::Failures::network_of(limits_->client_address(http));
    if (auto counted = count_request(limits_->addresses, network, "your address"); !counted) {
      http.note.error = counted.error().message();
      outcome.refused = true;
      co_return error_response(counted.error());
    }
  }
  const bool for_anybody = tokens_ && tokens_->is_for_anybody(http);
  auto identity =
      co_await authenticator_.authenticate(http, for_anybody ? auth::Budget::mirrored : auth::Budget::logins);
  if (identity) {
    const std::string name = identity->principal.name();
    const bool counts = limited && identity->principal != Principal::anonymous();
    http.identify(std::move(*identity));
    if (counts) {
      if (auto counted = count_request(limits_->principals, name, name); !counted) {
        http.note.error = counted.error().message();
        outcome.refused = true;
        co_return error_response(counted.error());
      }
    }
    co_return co_await next_.handle(http);
  }
  http.note.error = identity.error().message();
  // Not asked of what was let in: a certificate that ends meanwhile is told so at the next request.
  outcome.over = authenticator_.certificate_is_over(http.peer());
  std::optional<http::Response> instead;
  if (for_anybody && !is_store_failure(identity.error().code()))
    instead = co_await tokens_->mirrored_for_anybody(http);
  if (instead) co_return std::move(*instead);
  outcome.refused = true;
  co_return error_response(identity.error());
}

Task<http::Response> IdentifyingHandler::handle(http::Exchange& http) {
  Outcome outcome;
  http::Response response = co_await answer(http, outcome);
  // Whoever has a new one is to show it, and not to be refused for as long as the connection lives.
  if (outcome.over) response.close();
  if (outcome.refused && challenge_.path_of(http.request()).starts_with("/v2"))
    response.header("Docker-Distribution-API-Version", "registry/2.0");
  add_challenge(challenge_, http, outcome.refused, response);
  co_return response;
}

}  // namespace stele::api
