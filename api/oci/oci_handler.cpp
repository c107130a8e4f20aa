#include "api/oci/oci_handler.hpp"

#include <array>

#include "api/error_response.hpp"
#include "auth/identify.hpp"
#include "http/uri.hpp"

namespace stele::api::oci {

Task<http::Response> OciHandler::handle(http::Exchange& http) {
  http.note.principal = auth::identify(http).name();
  auto answer = co_await dispatch(http);
  http::Response response(500);
  if (answer) {
    response = std::move(*answer);
  } else {
    response = refusal(http, answer.error());
  }
  response.header("Docker-Distribution-API-Version", "registry/2.0");
  co_return response;
}

http::Response OciHandler::refuse(int status, std::string_view why) {
  http::Response response = error_response(status, why);
  response.header("Docker-Distribution-API-Version", "registry/2.0");
  return response;
}

audit::Actor OciHandler::actor(const http::Exchange& http) {
  return {auth::identify(http), http.id()};
}

http::Response OciHandler::refusal(http::Exchange& http, const Error& error) {
  http.note.error = error.message();
  http.note.store_failed = is_store_failure(error.code());
  return error_response(error);
}

OciHandler::Answer OciHandler::dispatch(http::Exchange& http) {
  const auto route = parse_route(http.request().path);
  if (!route) co_return route.error();
  http.note.route = to_string(route->endpoint);
  if (route->name) http.note.repository = route->name->str();
  http.note.reference = route->tail;

  const std::string_view query = http.request().query;
  if (query.find('%') != std::string_view::npos && http::QueryParameters(query).malformed())
    co_return Error(Errc::parameter_invalid, "the query of the request is not properly percent-encoded");

  struct Entry {
    Endpoint endpoint;
    http::Method method;
    Answer (OciHandler::*handler)(http::Exchange&, const Route&);
  };
  using http::Method;
  static constexpr std::array<Entry, 22> table{{
      {Endpoint::version, Method::get, &OciHandler::version},
      {Endpoint::version, Method::head, &OciHandler::version},
      {Endpoint::catalog, Method::get, &OciHandler::list_repositories},
      {Endpoint::catalog, Method::head, &OciHandler::list_repositories},
      {Endpoint::discover, Method::get, &OciHandler::discover},
      {Endpoint::discover, Method::head, &OciHandler::discover},
      {Endpoint::tags, Method::get, &OciHandler::list_tags},
      {Endpoint::tags, Method::head, &OciHandler::list_tags},
      {Endpoint::manifest, Method::get, &OciHandler::get_manifest},
      {Endpoint::manifest, Method::head, &OciHandler::get_manifest},
      {Endpoint::manifest, Method::put, &OciHandler::put_manifest},
      {Endpoint::manifest, Method::del, &OciHandler::delete_manifest},
      {Endpoint::blob, Method::get, &OciHandler::get_blob},
      {Endpoint::blob, Method::head, &OciHandler::head_blob},
      {Endpoint::blob, Method::del, &OciHandler::delete_blob},
      {Endpoint::uploads, Method::post, &OciHandler::start_upload},
      {Endpoint::upload, Method::patch, &OciHandler::patch_upload},
      {Endpoint::upload, Method::put, &OciHandler::put_upload},
      {Endpoint::upload, Method::get, &OciHandler::get_upload},
      {Endpoint::upload, Method::del, &OciHandler::delete_upload},
      {Endpoint::referrers, Method::get, &OciHandler::list_referrers},
      {Endpoint::referrers, Method::head, &OciHandler::list_referrers},
  }};
  std::string allowed;
  for (const Entry& entry : table) {
    if (entry.endpoint != route->endpoint) continue;
    if (entry.method == http.request().method) co_return co_await (this->*entry.handler)(http, *route);
    allowed += (allowed.empty() ? "" : ", ") + std::string(http::to_string(entry.method));
  }
  const Error error(Errc::method_not_allowed, std::string(http.request().method_text.substr(0, 40)) +
                                                  " is not supported here; this endpoint (" +
                                                  to_string(route->endpoint) + ") knows " + allowed);
  http::Response response = refusal(http, error);
  response.header("Allow", allowed);
  co_return response;
}

}  // namespace stele::api::oci
