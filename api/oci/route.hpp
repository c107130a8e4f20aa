#pragma once
// Which endpoint of the distribution specification a path names. Read from the right: a repository may be
// called a/blobs/b.

#include <optional>
#include <string>
#include <string_view>

#include "base/reference.hpp"
#include "base/result.hpp"
#include "mirror/names.hpp"

namespace stele::api::oci {

enum class Endpoint {
  version,    // /v2/
  catalog,    // /v2/_catalog
  discover,   // /v2/_oci/ext/discover, /v2/<name>/_oci/ext/discover
  tags,       // /v2/<name>/tags/list
  manifest,   // /v2/<name>/manifests/<reference>
  blob,       // /v2/<name>/blobs/<digest>
  uploads,    // /v2/<name>/blobs/uploads/
  upload,     // /v2/<name>/blobs/uploads/<id>
  referrers,  // /v2/<name>/referrers/<digest>
};

// A metric label: "manifest", "blob", …
const char* to_string(Endpoint);

struct Route {
  Endpoint endpoint;
  std::optional<RepositoryName> name;  // absent where the endpoint has none
  std::string tail;  // the last segment, decoded and not yet parsed: reference, digest or upload id
  std::optional<mirror::Place> mirrored = {};  // `name` is then where it is stored
};

// `path` as sent. not_found for anything that is no endpoint; name_invalid.
Result<Route> parse_route(std::string_view path);

}  // namespace stele::api::oci
