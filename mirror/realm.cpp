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

std::uint16_t own_port(const http::Url& url) {
  return url.secure() ? 443 : 80;
}

}  // namespace

bool is_named_realm(std::string_view token_realm, const http::Url& url) {
  if (token_realm.empty()) return false;
  const bool literal = url.host().find(':') != std::string::npos;
  const std::string host = literal ? "[" + url.host() + "]" : url.host();
  if (http::equals_ignoring_case(host + ":" + std::to_string(url.port()), token_realm)) return true;
  return url.port() == own_port(url) && (http::equals_ignoring_case(host, token_realm) ||
                                         http::equals_ignoring_case(url.host(), token_realm));
}

bool trusts_realm(const http::Url& upstream, std::string_view token_realm, const http::Url& realm) {
  if (upstream.secure() && !realm.secure()) return false;
  if (is_named_realm(token_realm, realm)) return true;
  const bool port = realm.port() == upstream.port() || realm.port() == own_port(realm);
  if (realm.host() == upstream.host() && port) return true;
  return std::any_of(std::begin(known_realms), std::end(known_realms), [&](const KnownRealm& known) {
    return known.registry == upstream.host() && known.realm == realm.host() &&
           realm.port() == own_port(realm);
  });
}

}  // namespace stele::mirror
