#include "auth/identify.hpp"

#include "tests/support/catch.hpp"

namespace stele::auth {
namespace {

TEST_CASE("auth: who asks is what the connection proves, and nothing else") {
  http::Peer peer;
  peer.address = "127.0.0.1";
  CHECK(identify(peer) == Principal::anonymous());
  peer.tls = true;
  CHECK(identify(peer) == Principal::anonymous());
  peer.certificate = "alice";
  CHECK(identify(peer).name() == "cert:alice");
  // A certificate cannot claim another kind of name.
  peer.certificate = "system";
  CHECK_FALSE(identify(peer) == Principal::system());
  peer.certificate = "local:0";
  CHECK(identify(peer).name() == "cert:local:0");

  http::Peer local;
  local.address = "local";
  local.uid = 0;
  CHECK(identify(local).name() == "local:0");
}

}  // namespace
}  // namespace stele::auth
