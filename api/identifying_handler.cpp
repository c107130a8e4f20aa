#include "api/identifying_handler.hpp"

#include "api/error_response.hpp"

namespace stele::api {

Task<http::Response> IdentifyingHandler::handle(http::Exchange& http) {
  auto identity = co_await authenticator_.authenticate(http);
  http::Response response(500);
  bool refused = false;
  if (identity) {
    http.identify(std::move(*identity));
    response = co_await next_.handle(http);
  } else {
    http.note.error = identity.error().message();
    std::optional<http::Response> instead;
    if (tokens_ && !is_store_failure(identity.error().code()))
      instead = co_await tokens_->mirrored_for_anybody(http);
    refused = !instead;
    response = instead ? std::move(*instead) : error_response(identity.error());
    if (http.request().path.starts_with("/v2"))
      response.header("Docker-Distribution-API-Version", "registry/2.0");
  }
  add_challenge(challenge_, http, refused, response);
  co_return response;
}

}  // namespace stele::api
