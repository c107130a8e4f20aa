#include "auth/access.hpp"

#include <unistd.h>

#include <string>

#include "auth/identify.hpp"

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

Result<void> Access::require(const http::Exchange& http, Right right, std::string_view what) const {
  const http::Peer& peer = http.peer();
  if (peer.uid) {
    if (*peer.uid == 0 || *peer.uid == ::geteuid()) return {};
    return Error(Errc::forbidden,
                 "administration over this socket is for root and for the user that runs stele");
  }
  const bool content = right == Right::pull || right == Right::push || right == Right::remove;
  // Reporting protects; and where it could end protection, deleting does more.
  const bool beside_content = right == Right::promote || right == Right::report_in_use;
  if (content || beside_content || (open_ && right != Right::upkeep)) return {};
  return Error(Errc::forbidden, std::string(what) + " needs the right " + std::string(to_string(right)) +
                                    ", which " + identify(http).name() +
                                    " does not have over the network; use the local socket (stele … --data "
                                    "DIR) on the server's machine")
      .with("right", std::string(to_string(right)));
}

}  // namespace stele::auth
