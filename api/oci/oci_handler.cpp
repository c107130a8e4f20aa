#include "api/oci/oci_handler.hpp"

#include <array>

#include "api/error_response.hpp"
#include "api/hold_details.hpp"
#include "base/printable.hpp"
#include "http/uri.hpp"

namespace stele::api::oci {

Task<http::Response> OciHandler::handle(http::Exchange& http) {
  auto answer = co_await dispatch(http);
  http::Response response(500);
  if (answer) {
    response = std::move(*answer);
  } else {
    http.note.error = answer.error().message();
    response =
        error_response(for_the_eyes_of(http.identity(), access_, answer.error(), http.note.repository));
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
  return {http.identity().principal, http.id()};
}

http::Response OciHandler::refusal(http::Exchange& http, const Error& error) {
  http.note.error = error.message();
  http.note.store_failed = is_store_failure(error.code());
  return error_response(error);
}

namespace {

using auth::Right;
using http::Method;
using Over = auth::Needs::Over;
// Whoever pushes is told by the next refusal whether it is there, and clients ask before they push.
constexpr policy::Rights pusher_may{Right::push};

}  // namespace

constexpr OciHandler::GuardedOciRoute OciHandler::routes[] = {
    {Endpoint::version, Method::get, Right::pull, "asking for the version", &OciHandler::version,
     Over::nothing},
    {Endpoint::version, Method::head, Right::pull, "asking for the version", &OciHandler::version,
     Over::nothing},
    {Endpoint::catalog, Method::get, Right::pull, "listing repositories", &OciHandler::list_repositories,
     Over::list},
    {Endpoint::catalog, Method::head, Right::pull, "listing repositories", &OciHandler::list_repositories,
     Over::list},
    {Endpoint::discover, Method::get, Right::pull, "asking for extensions", &OciHandler::discover,
     Over::nothing},
    {Endpoint::discover, Method::head, Right::pull, "asking for extensions", &OciHandler::discover,
     Over::nothing},
    {Endpoint::tags, Method::get, Right::pull, "listing tags", &OciHandler::list_tags},
    {Endpoint::tags, Method::head, Right::pull, "listing tags", &OciHandler::list_tags},
    {Endpoint::manifest, Method::get, Right::pull, "pulling", &OciHandler::get_manifest},
    {Endpoint::manifest, Method::head, Right::pull, pusher_may, "pulling", &OciHandler::get_manifest},
    {Endpoint::manifest, Method::put, Right::push, "pushing", &OciHandler::put_manifest},
    {Endpoint::manifest, Method::del, Right::remove, "deleting", &OciHandler::delete_manifest},
    {Endpoint::blob, Method::get, Right::pull, "pulling", &OciHandler::get_blob},
    {Endpoint::blob, Method::head, Right::pull, pusher_may, "pulling", &OciHandler::head_blob},
    {Endpoint::blob, Method::del, Right::remove, "deleting", &OciHandler::delete_blob},
    {Endpoint::uploads, Method::post, Right::push, "pushing", &OciHandler::start_upload},
    {Endpoint::upload, Method::patch, Right::push, "pushing", &OciHandler::patch_upload},
    {Endpoint::upload, Method::put, Right::push, "pushing", &OciHandler::put_upload},
    {Endpoint::upload, Method::get, Right::push, "pushing", &OciHandler::get_upload},
    {Endpoint::upload, Method::del, Right::push, "pushing", &OciHandler::delete_upload},
    {Endpoint::referrers, Method::get, Right::pull, "listing referrers", &OciHandler::list_referrers},
    {Endpoint::referrers, Method::head, Right::pull, "listing referrers", &OciHandler::list_referrers},
};

std::optional<Error> OciHandler::prefix_passed_on(std::string_view path) const {
  const std::string& prefix = settings_.external_path;
  if (prefix.empty() || !path.starts_with(prefix + "/")) return std::nullopt;
  return Error(Errc::not_found, "there is nothing at " + printable(path, 300) + ": external_url ends in " +
                                    prefix + ", which the proxy must take off before it passes a request on");
}

OciHandler::Answer OciHandler::dispatch(http::Exchange& http) {
  std::string_view path = http.request().path;
  std::optional<std::size_t> mirror_in_path;
  if (settings_.mirrors) path.remove_prefix(settings_.mirrors->names().path_prefix(path, mirror_in_path));
  auto route = parse_route(path);
  if (!route) {
    if (auto passed_on = prefix_passed_on(path)) co_return std::move(*passed_on);
    co_return route.error();
  }
  http.note.route = to_string(route->endpoint);
  if (route->name) http.note.repository = route->name->str();
  http.note.reference = route->tail;

  const std::string_view query = http.request().query;
  if (query.find('%') != std::string_view::npos && http::QueryParameters(query).malformed())
    co_return Error(Errc::parameter_invalid, "the query of the request is not properly percent-encoded");

  if (settings_.mirrors) {
    if (auto found = find_mirror(http, mirror_in_path, *route); !found) co_return found.error();
    if (route->mirrored) http.note.repository = route->name->str();
  }

  const auto found = find_route<GuardedOciRoute>(routes, route->endpoint, http.request().method);
  if (found.row) {
    if (auto allowed = may(http, *found.row, *route); !allowed) co_return allowed.error();
    co_return co_await (this->*found.row->answerer)(http, *route);
  }
  const Error error(Errc::method_not_allowed, std::string(http.request().method_text.substr(0, 40)) +
                                                  " is not supported here; this endpoint (" +
                                                  to_string(route->endpoint) + ") knows " + found.allowed);
  http::Response response = refusal(http, error);
  response.header("Allow", found.allowed);
  co_return response;
}

}  // namespace stele::api::oci
