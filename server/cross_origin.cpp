#include "server/cross_origin.hpp"

#include <algorithm>

#include "api/token/token_handler.hpp"

namespace stele {
namespace {

// What scripts may read besides the few that every script may.
constexpr const char* exposed =
    "Content-Length, Content-Range, Docker-Content-Digest, Docker-Distribution-API-Version, "
    "Docker-Upload-UUID, "
    "ETag, Link, Location, OCI-Filters-Applied, OCI-Subject, OCI-Tag, Range, Retry-After, WWW-Authenticate, "
    "Warning, X-Request-Id";
constexpr const char* accepted =
    "Accept, Authorization, Cache-Control, Content-Range, Content-Type, If-Match, If-None-Match, Range";

// Administration is for pages of its own origin alone (api/admin/foreign_page.hpp).
bool is_for_scripts(std::string_view path) {
  return path == "/v2" || path.starts_with("/v2/") || api::TokenHandler::serves(path);
}

bool is_preflight(const http::RequestHead& request) {
  return request.method == http::Method::options && !request.header("Access-Control-Request-Method").empty();
}

}  // namespace

bool CrossOriginHandler::lets(std::string_view origin) const {
  return every_ || std::find(origins_.begin(), origins_.end(), origin) != origins_.end();
}

void CrossOriginHandler::add_headers(std::string_view origin, http::Response& response) const {
  // Caches must not give one origin's answer to another.
  if (!every_) response.header("Vary", "Origin");
  if (origin.empty() || !lets(origin)) return;
  response.header("Access-Control-Allow-Origin", every_ ? std::string_view("*") : origin);
  if (!every_) response.header("Access-Control-Allow-Credentials", "true");
  response.header("Access-Control-Expose-Headers", exposed);
}

Task<http::Response> CrossOriginHandler::handle(http::Exchange& http) {
  if (origins_.empty() || !is_for_scripts(http.request().path)) co_return co_await next_.handle(http);
  // Views into the connection's buffer do not outlive a body that is read.
  const std::string origin(http.request().header("Origin"));
  if (!is_preflight(http.request()) || !lets(origin)) {
    http::Response response = co_await next_.handle(http);
    add_headers(origin, response);
    co_return response;
  }
  http::Response response(204);
  response.header("Docker-Distribution-API-Version", "registry/2.0");
  add_headers(origin, response);
  response.header("Access-Control-Allow-Methods",
                  every_ ? "GET, HEAD" : "GET, HEAD, POST, PUT, PATCH, DELETE");
  response.header("Access-Control-Allow-Headers", accepted);
  response.header("Access-Control-Max-Age", "3600");  // seconds
  co_return response;
}

}  // namespace stele
