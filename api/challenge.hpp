#pragma once
// `WWW-Authenticate` of a 401: how the client is to prove who it is. Written here and nowhere else, in front
// of all faces, so that no 401 leaves without one.

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/reference.hpp"
#include "http/exchange.hpp"

namespace stele::api {

// Where registries are mirrored, whose name may stand before /v2/ or in ?ns=: what a request means.
struct MirroredNames {
  // The path from its /v2/ on.
  std::function<std::string_view(std::string_view path)> path;
  // As the repository is called here, of which rights speak: where no mirror is named, as in the path and as
  // the default mirror has it. Of the request and the configuration alone: a challenge goes to strangers, who
  // must not learn from it what is here.
  std::function<std::vector<RepositoryName>(const http::RequestHead&)> repositories;
};

struct ChallengeSettings {
  // There are users with passwords. Without: there is nothing to be asked for.
  bool passwords = false;
  // Empty: no tokens are made, and the registry's API asks for the password itself. Otherwise it asks for a
  // token and for nothing else: docker sends the password to each request when Basic stands there, too.
  std::string service = {};
  // Where another token server is to be asked; empty: /token of this one.
  std::string realm = {};
  // "https://registry.example.com", as the client reaches this server; empty when that cannot be told.
  std::function<std::string(const http::Exchange&)> base = {};
  std::optional<MirroredNames> mirrored = {};  // none: nothing is mirrored

  std::string_view path_of(const http::RequestHead& request) const {
    return mirrored ? mirrored->path(request.path) : std::string_view(request.path);
  }
};

// Adds it to `response` if that is a 401. `refused`: what was presented did not hold.
void add_challenge(const ChallengeSettings&, const http::Exchange&, bool refused, http::Response& response);

}  // namespace stele::api
