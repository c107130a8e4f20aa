#include "server/front_handler.hpp"

#include <algorithm>

#include "http/address_kind.hpp"

namespace stele {

std::string client_address(std::string_view peer, std::string_view forwarded_for,
                           const std::vector<AddressRange>& proxies) {
  const auto trusted = [&](std::string_view address) {
    return std::any_of(proxies.begin(), proxies.end(),
                       [&](const AddressRange& range) { return range.contains(address); });
  };
  std::string_view client = peer;
  while (trusted(client) && !forwarded_for.empty()) {
    const std::size_t comma = forwarded_for.rfind(',');
    std::string_view hop = comma == std::string_view::npos ? forwarded_for : forwarded_for.substr(comma + 1);
    forwarded_for = comma == std::string_view::npos ? std::string_view() : forwarded_for.substr(0, comma);
    const std::size_t first = hop.find_first_not_of(" \t");
    if (first == std::string_view::npos) break;
    hop = hop.substr(first, hop.find_last_not_of(" \t") - first + 1);
    if (!http::is_address_literal(hop))
      break;  // text of the client's own, which must not stand in a log as an address
    client = hop;
  }
  return std::string(client);
}

Task<http::Response> FrontHandler::handle(http::Exchange& http) {
  if (!proxies_.empty()) {
    http.note.client =
        client_address(http.peer().address, http.request().joined_header("X-Forwarded-For"), proxies_);
  }
  const std::string_view path = http.request().path;
  if (api::OperationsHandler::serves(path)) co_return co_await operations_.handle(http);
  if (tokens_ && api::TokenHandler::serves(path)) co_return co_await tokens_->handle(http);
  if (api::AdminHandler::serves(path)) co_return co_await administration_.handle(http);
  if (path == "/") {
    http::Response response(200);
    response.body(
        "This is Stele, an OCI registry. Its API is below /v2/; push with docker, podman, skopeo, crane or "
        "oras.\n",
        "text/plain; charset=utf-8");
    co_return response;
  }
  co_return co_await registry_.handle(http);
}

}  // namespace stele
