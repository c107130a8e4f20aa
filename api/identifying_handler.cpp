#include "api/identifying_handler.hpp"

#include <utility>

#include "api/error_response.hpp"

namespace stele::api {

Task<http::Response> IdentifyingHandler::handle(http::Exchange& http) {
  auto identity = co_await authenticator_.authenticate(http);
  if (!identity) {
    http.note.error = identity.error().message();
    co_return error_response(identity.error());
  }
  http.identify(std::move(*identity));
  co_return co_await next_.handle(http);
}

}  // namespace stele::api
