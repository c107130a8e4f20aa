#include "auth/authenticator.hpp"

#include <unistd.h>

#include <algorithm>
#include <utility>

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

Task<Result<Identity>> Authenticator::by_password(const http::Exchange& http,
                                                  const Credentials& credentials) const {
  const std::string address = settings_.client_address ? settings_.client_address(http) : http.peer().address;
  auto checked = co_await settings_.passwords->check(credentials, address);
  if (!checked) co_return checked.error();
  Identity identity;
  identity.principal = Principal("user:" + credentials.user);
  identity.method = Identity::Method::password;
  co_return identity;
}

Task<Result<Identity>> Authenticator::authenticate(const http::Exchange& http) const {
  Result<Identity> of_peer = of_connection(http.peer(), http.request());
  if (!settings_.passwords || of_peer->method == Identity::Method::socket) co_return of_peer;
  const auto credentials = presented_credentials(http.request());
  if (!credentials) co_return credentials.error();
  if (credentials->scheme == Credentials::Scheme::basic) co_return co_await by_password(http, *credentials);
  if (credentials->scheme == Credentials::Scheme::bearer)
    co_return Error(Errc::unauthorized, "this registry takes a user name and a password, and no tokens");
  co_return of_peer;
}

}  // namespace stele::auth
