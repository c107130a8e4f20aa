#include "auth/access.hpp"

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

Result<void> Access::may(const Identity& identity, const Needs& needs, const RepositoryName*) const {
  const bool nobody =
      identity.method == Identity::Method::none || identity.principal == Principal::anonymous();
  if (settings_.login && nobody && identity.method != Identity::Method::loopback) {
    return Error(Errc::unauthorized, std::string(needs.what) +
                                         " needs a login: docker login, or the same of "
                                         "your client, with a name and a password");
  }
  if (identity.method != Identity::Method::socket) return over_the_network(identity, needs);
  if (identity.administrator) return {};
  return Error(Errc::forbidden,
               "administration over this socket is for root and for the user that runs stele");
}

}  // namespace stele::auth
