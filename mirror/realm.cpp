#include "mirror/realm.hpp"

#include <algorithm>
#include <iterator>

#include "http/message.hpp"

namespace stele::mirror {
namespace {

struct KnownRealm {
  std::string_view registry;
  std::string_view realm;
};
// Registries whose tokens come from another host, as they document it.
constexpr KnownRealm known_realms[] = {{"registry-1.docker.io", "auth.docker.io"},
                                       {"registry.gitlab.com", "gitlab.com"}};

}  // namespace

bool trusts_realm(const http::Url& upstream, std::string_view token_realm, const http::Url& realm) {
  if (upstream.secure() && !realm.secure()) return false;
  if (realm.host() == upstream.host() || http::equals_ignoring_case(realm.host(), token_realm)) return true;
  return std::any_of(std::begin(known_realms), std::end(known_realms), [&](const KnownRealm& known) {
    return known.registry == upstream.host() && known.realm == realm.host();
  });
}

}  // namespace stele::mirror
