#include "api/oci/route.hpp"

#include "base/printable.hpp"
#include "base/text.hpp"
#include "http/uri.hpp"

namespace stele::api::oci {
namespace {

Error no_endpoint(std::string_view path) {
  return Error(Errc::not_found,
               "there is nothing at " + printable(path, 300) + "; the registry's API is below /v2/");
}

Result<Route> named(Endpoint endpoint, std::string_view name, std::string_view tail) {
  auto parsed = RepositoryName::parse(name);
  if (!parsed) return parsed.error();
  return Route{endpoint, std::move(*parsed), std::string(tail)};
}

}  // namespace

const char* to_string(Endpoint endpoint) {
  switch (endpoint) {
    case Endpoint::version:
      return "version";
    case Endpoint::catalog:
      return "catalog";
    case Endpoint::discover:
      return "discover";
    case Endpoint::tags:
      return "tags";
    case Endpoint::manifest:
      return "manifest";
    case Endpoint::blob:
      return "blob";
    case Endpoint::uploads:
      return "uploads";
    case Endpoint::upload:
      return "upload";
    case Endpoint::referrers:
      return "referrers";
  }
  return "other";
}

Result<Route> parse_route(std::string_view path) {
  const auto decoded = http::percent_decode(path);
  if (!decoded) return Error(Errc::parameter_invalid, "the request path is not properly percent-encoded");
  std::string_view rest = *decoded;
  if (rest == "/v2" || rest == "/v2/") return Route{Endpoint::version, std::nullopt, {}};
  if (!rest.starts_with("/v2/")) return no_endpoint(path);
  rest.remove_prefix(4);
  if (rest == "_catalog") return Route{Endpoint::catalog, std::nullopt, {}};
  if (rest == "_oci/ext/discover") return Route{Endpoint::discover, std::nullopt, {}};
  constexpr std::string_view discover = "/_oci/ext/discover";
  if (rest.ends_with(discover))
    return named(Endpoint::discover, rest.substr(0, rest.size() - discover.size()), {});
  constexpr std::string_view tags = "/tags/list";
  if (rest.ends_with(tags)) return named(Endpoint::tags, rest.substr(0, rest.size() - tags.size()), {});
  for (const std::string_view uploads : {"/blobs/uploads/", "/blobs/uploads"}) {
    if (rest.ends_with(uploads))
      return named(Endpoint::uploads, rest.substr(0, rest.size() - uploads.size()), {});
  }
  const std::string_view tail = take_last_segment(rest);
  const std::string_view kind = take_last_segment(rest);
  if (tail.empty() || rest.empty()) return no_endpoint(path);
  if (kind == "uploads" && rest.ends_with("/blobs")) {
    return named(Endpoint::upload, rest.substr(0, rest.size() - std::string_view("/blobs").size()), tail);
  }
  if (kind == "manifests") return named(Endpoint::manifest, rest, tail);
  if (kind == "blobs") return named(Endpoint::blob, rest, tail);
  if (kind == "referrers") return named(Endpoint::referrers, rest, tail);
  return no_endpoint(path);
}

}  // namespace stele::api::oci
