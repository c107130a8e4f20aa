#include "auth/access.hpp"

#include <algorithm>
#include <string>

namespace stele::auth {

std::string_view to_string(Right right) {
  switch (right) {
    case Right::pull:
      return "pull";
    case Right::push:
      return "push";
    case Right::remove:
      return "delete";
    case Right::promote:
      return "promote";
    case Right::rollback:
      return "rollback";
    case Right::hold:
      return "hold";
    case Right::release_hold:
      return "release-hold";
    case Right::bypass_governance:
      return "bypass-governance";
    case Right::report_in_use:
      return "report-in-use";
    case Right::lifecycle:
      return "lifecycle";
    case Right::admin:
      return "admin";
    case Right::upkeep:
      return "upkeep";
  }
  return "unknown";
}

namespace {

// Whether the token's scopes name the right in the repository. A scope is "repository:<name>:<actions>".
bool scopes_leave(const Identity& identity, const Needs& needs, const RepositoryName* repository) {
  if (identity.scopes.empty()) return true;
  const Right right = needs.right;
  if (!repository) {
    // Any token is good for that, and none is made for it.
    if (std::string_view(needs.what) == "asking for the version") return true;
    return right == Right::pull && std::find(identity.scopes.begin(), identity.scopes.end(),
                                             "registry:catalog:*") != identity.scopes.end();
  }
  const std::string begin = "repository:" + repository->str() + ":";
  return std::any_of(identity.scopes.begin(), identity.scopes.end(), [&](const std::string& scope) {
    if (!scope.starts_with(begin)) return false;
    const std::string actions = "," + scope.substr(begin.size()) + ",";
    return actions.find("," + std::string(to_string(right)) + ",") != std::string::npos ||
           actions.find(",*,") != std::string::npos;
  });
}

Result<void> over_the_network(const Identity& identity, const Needs& needs) {
  const bool local = identity.method == Identity::Method::loopback;
  const bool known = !(identity.principal == Principal::anonymous());
  bool allowed = false;
  switch (needs.right) {
    case Right::pull:
    case Right::push:
    case Right::remove:
    case Right::report_in_use:  // protects; and where it could end protection, deleting does more
      allowed = true;
      break;
    case Right::promote:  // copies what others pushed: not for whoever cannot be named
      allowed = local || known;
      break;
    case Right::upkeep:
      break;
    default:
      allowed = local;
  }
  if (allowed) return {};
  const std::string right(to_string(needs.right));
  return Error(Errc::forbidden, std::string(needs.what) + " needs the right " + right + ", which " +
                                    identity.principal.name() +
                                    " does not have over the network; use the local socket (stele … --data "
                                    "DIR) on the server's machine")
      .with("right", right);
}

}  // namespace

Result<void> Access::may(const Identity& identity, const Needs& needs,
                         const RepositoryName* repository) const {
  const bool nobody =
      identity.method == Identity::Method::none || identity.principal == Principal::anonymous();
  if (settings_.login && nobody && identity.method != Identity::Method::loopback) {
    return Error(Errc::unauthorized, std::string(needs.what) +
                                         " needs a login: docker login, or the same of "
                                         "your client, with a name and a password");
  }
  if (identity.method != Identity::Method::socket) {
    auto allowed = over_the_network(identity, needs);
    if (!allowed || scopes_leave(identity, needs, repository)) return allowed;
    // Not 403: the client gets a token for this, and comes again.
    return Error(Errc::unauthorized, std::string(needs.what) + " is not what the token was made for");
  }
  if (identity.administrator) return {};
  return Error(Errc::forbidden,
               "administration over this socket is for root and for the user that runs stele");
}

}  // namespace stele::auth
