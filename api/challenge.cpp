#include "api/challenge.hpp"

#include "api/oci/route.hpp"
#include "http/uri.hpp"

namespace stele::api {
namespace {

// What the request needs a token for, in the words of the token specification; empty: any token will do.
std::string scope_of(const ChallengeSettings& settings, const http::Exchange& http) {
  using oci::Endpoint;
  const http::RequestHead& request = http.request();
  const auto route = oci::parse_route(settings.path_of(request));
  if (!route) return {};
  if (route->endpoint == Endpoint::catalog) return "registry:catalog:*";
  if (!route->name) return {};
  const bool upload = route->endpoint == Endpoint::uploads || route->endpoint == Endpoint::upload;
  const bool reads = request.method == http::Method::get || request.method == http::Method::head;
  const char* actions = "pull,push";
  if (reads && !upload) actions = "pull";
  if (request.method == http::Method::del && !upload) actions = "delete";
  std::string scope;
  const auto names = settings.mirrored ? settings.mirrored->repositories(request) : std::vector{*route->name};
  for (const RepositoryName& name : names)
    scope += (scope.empty() ? "repository:" : " repository:") + name.str() + ":" + actions;
  // A mount reads from another repository.
  if (!http.note.also_pulled.empty()) return scope + " repository:" + http.note.also_pulled + ":pull";
  const http::QueryParameters parameters(request.query);
  const auto from = route->endpoint == Endpoint::uploads ? parameters.first("from") : std::nullopt;
  if (from && RepositoryName::parse(*from).has_value())
    scope += " repository:" + std::string(*from) + ":pull";
  return scope;
}

}  // namespace

void add_challenge(const ChallengeSettings& settings, const http::Exchange& http, bool refused,
                   http::Response& response) {
  if (response.status() != 401 || !settings.passwords) return;
  const std::string base = settings.service.empty() ? std::string() : settings.base(http);
  if (base.empty() || !settings.path_of(http.request()).starts_with("/v2")) {
    // RFC 7617, section 2.1: names and passwords are UTF-8.
    response.header("WWW-Authenticate", "Basic realm=\"stele\", charset=\"UTF-8\"");
    return;
  }
  const std::string realm = settings.realm.empty() ? base + "/token" : settings.realm;
  std::string value = "Bearer realm=\"" + realm + "\",service=\"" + settings.service + "\"";
  if (const std::string scope = scope_of(settings, http); !scope.empty()) value += ",scope=\"" + scope + "\"";
  // RFC 6750, section 3.1; containerd gets a new token only when it reads one of these.
  const std::string_view presented = http.request().header("Authorization");
  const bool token = http::equals_ignoring_case(presented.substr(0, 7), "Bearer ");
  if (token) value += refused ? ",error=\"invalid_token\"" : ",error=\"insufficient_scope\"";
  response.header("WWW-Authenticate", value);
}

}  // namespace stele::api
