#include "auth/authenticator.hpp"

#include <unistd.h>

#include "tests/support/catch.hpp"
#include "tests/unit/auth/set_clock.hpp"

namespace stele::auth {
namespace {

using Method = Identity::Method;

const Authenticator here(AuthenticatorSettings{.for_this_machine_only = true});
const Authenticator reachable(AuthenticatorSettings{.for_this_machine_only = false});

http::Peer at(std::string address) {
  http::Peer peer;
  peer.address = std::move(address);
  return peer;
}

http::RequestHead with(std::string_view field) {
  http::RequestHead request;
  request.fields.push_back({field, "192.0.2.7"});
  return request;
}

TEST_CASE("auth: who asks is what the connection proves, and nothing else") {
  http::Peer peer = at("192.0.2.1");
  const http::RequestHead plain;
  CHECK(here.of_connection(peer, plain).principal == Principal::anonymous());
  CHECK(here.of_connection(peer, plain).method == Method::none);
  peer.tls = true;
  CHECK(here.of_connection(peer, plain).principal == Principal::anonymous());
  peer.certificate = "alice";
  CHECK(here.of_connection(peer, plain).principal.name() == "cert:alice");
  CHECK(here.of_connection(peer, plain).method == Method::certificate);
  // A certificate cannot claim another kind of name.
  peer.certificate = "system";
  CHECK_FALSE(here.of_connection(peer, plain).principal == Principal::system());
  peer.certificate = "local:0";
  CHECK(here.of_connection(peer, plain).principal.name() == "cert:local:0");
  CHECK_FALSE(here.of_connection(peer, plain).administrator);
}

TEST_CASE("auth: a connection is over when the certificate is with which it began") {
  SetClock clock;
  const std::int64_t now = clock.now().microseconds / 1'000'000;
  AuthenticatorSettings settings;
  settings.clock = &clock;
  const Authenticator looking(settings);
  http::Peer peer = at("192.0.2.1");
  CHECK_FALSE(looking.certificate_is_over(peer));
  peer.certificate = "alice";
  peer.certificate_ends = now + 60;
  CHECK_FALSE(looking.certificate_is_over(peer));
  clock.pass(60);
  CHECK_FALSE(looking.certificate_is_over(peer));  // its last second
  clock.pass(1);
  CHECK(looking.certificate_is_over(peer));
  // Also one that has no name that rules know.
  peer.certificate.clear();
  CHECK(looking.certificate_is_over(peer));
  CHECK_FALSE(here.certificate_is_over(peer));
}

TEST_CASE("auth: the local socket's administrators are root and the server's user") {
  http::Peer local = at("local");
  for (const std::uint32_t uid : {0U, static_cast<std::uint32_t>(::geteuid())}) {
    local.uid = uid;
    const Identity identity = reachable.of_connection(local, {});
    CHECK(identity.principal.name() == "local:" + std::to_string(uid));
    CHECK(identity.method == Method::socket);
    CHECK(identity.administrator);
  }
  local.uid = static_cast<std::uint32_t>(::geteuid()) + 1;
  CHECK_FALSE(reachable.of_connection(local, {}).administrator);
}

TEST_CASE("auth: what came through a proxy is never local") {
  for (const char* address : {"127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"}) {
    INFO(address);
    CHECK(here.of_connection(at(address), {}).method == Method::loopback);
    CHECK(reachable.of_connection(at(address), {}).method == Method::none);
    for (const char* field : {"Forwarded", "forwarded", "Via", "X-Real-IP", "X-Forwarded-For",
                              "x-forwarded-proto", "X-Forwarded-Host", "X-Forwarded-Anything"}) {
      INFO(field);
      CHECK(here.of_connection(at(address), with(field)).method == Method::none);
    }
    CHECK(here.of_connection(at(address), with("Viable")).method == Method::loopback);
  }
  for (const char* address : {"192.0.2.1", "::2", "128.0.0.1", "::ffff:192.0.2.1", ""})
    CHECK(here.of_connection(at(address), {}).method == Method::none);
}

}  // namespace
}  // namespace stele::auth
