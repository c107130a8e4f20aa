// What a connection says of who is asking, before anything that the request presents is looked at.
#include <unistd.h>

#include <algorithm>

#include "auth/authenticator.hpp"

namespace stele::auth {
namespace {

bool is_loopback(std::string_view address) {
  return address == "::1" || address.starts_with("127.") || address.starts_with("::ffff:127.");
}

}  // namespace

bool came_through_proxy(const http::RequestHead& request) {
  constexpr std::string_view family = "X-Forwarded-";
  return std::any_of(request.fields.begin(), request.fields.end(), [&](const auto& field) {
    const std::string_view name = field.name;
    return http::equals_ignoring_case(name, "Forwarded") || http::equals_ignoring_case(name, "Via") ||
           http::equals_ignoring_case(name, "X-Real-IP") ||
           http::equals_ignoring_case(name.substr(0, family.size()), family);
  });
}

bool Authenticator::certificate_is_over(const http::Peer& peer) const {
  return settings_.clock && peer.certificate_ends &&
         settings_.clock->now().microseconds / 1'000'000 > *peer.certificate_ends;
}

Identity Authenticator::of_connection(const http::Peer& peer, const http::RequestHead& request) const {
  Identity identity;
  if (peer.uid) {
    identity.principal = Principal("local:" + std::to_string(*peer.uid));
    identity.method = Identity::Method::socket;
    identity.administrator = *peer.uid == 0 || *peer.uid == ::geteuid();
  } else if (!peer.certificate.empty()) {
    identity.principal = Principal("cert:" + peer.certificate);
    identity.method = Identity::Method::certificate;
  } else if (settings_.for_this_machine_only && is_loopback(peer.address) && !came_through_proxy(request)) {
    identity.method = Identity::Method::loopback;
  }
#ifdef STELE_TEST_IDENTITY
  if (const auto name = request.header("X-Stele-Test-Identity"); !name.empty())
    identity.principal = Principal(std::string(name));
#endif
  return identity;
}

}  // namespace stele::auth
