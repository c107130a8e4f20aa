// Who may see a mirror's credentials: the written upstream's host, the known pairs, token_realm; nobody else.

#include "mirror/realm.hpp"

#include "tests/support/catch.hpp"

namespace stele::mirror {
namespace {

bool trusts(std::string_view upstream, std::string_view realm, std::string_view token_realm = "") {
  const auto from = http::Url::parse(upstream);
  const auto to = http::Url::parse(realm);
  REQUIRE(from.has_value());
  REQUIRE(to.has_value());
  return trusts_realm(*from, token_realm, *to);
}

TEST_CASE("mirror realm: the upstream's own host and the documented pairs get the credentials") {
  CHECK(trusts("https://r.example", "https://r.example/token"));
  CHECK(trusts("https://R.example", "https://r.EXAMPLE/token"));
  CHECK(trusts("https://registry-1.docker.io", "https://auth.docker.io/token"));
  CHECK(trusts("https://registry.gitlab.com", "https://gitlab.com/jwt/auth"));
  CHECK(trusts("https://nvcr.io", "https://nvcr.io/proxy_auth"));
}

TEST_CASE("mirror realm: a foreign host gets none, however like a trusted one it looks") {
  CHECK_FALSE(trusts("https://r.example", "https://evil.example/token"));
  CHECK_FALSE(trusts("https://r.example", "https://r.example.evil.example/token"));
  CHECK_FALSE(trusts("https://r.example", "https://sub.r.example/token"));
  CHECK_FALSE(trusts("https://r.example", "https://auth.docker.io/token"));
  CHECK_FALSE(trusts("https://registry-1.docker.io", "https://gitlab.com/jwt/auth"));
  CHECK_FALSE(trusts("https://registry-1.docker.io", "https://auth.docker.io.evil.example/token"));
  CHECK_FALSE(trusts("https://gitlab.com", "https://registry.gitlab.com/token"));
  CHECK_FALSE(trusts("https://nvcr.io", "https://authn.nvidia.com/token"));
}

TEST_CASE("mirror realm: token_realm names one more host, in any case of its letters") {
  CHECK(trusts("https://r.example", "https://auth.example/token", "auth.example"));
  CHECK(trusts("https://r.example", "https://auth.example/token", "Auth.Example"));
  CHECK_FALSE(trusts("https://r.example", "https://other.example/token", "auth.example"));
  CHECK_FALSE(trusts("https://r.example", "https://sub.auth.example/token", "auth.example"));
}

TEST_CASE("mirror realm: nothing goes over plain http for an https upstream") {
  CHECK_FALSE(trusts("https://r.example", "http://r.example/token"));
  CHECK_FALSE(trusts("https://registry-1.docker.io", "http://auth.docker.io/token"));
  CHECK_FALSE(trusts("https://r.example", "http://auth.example/token", "auth.example"));
  CHECK(trusts("http://r.example:5000", "http://r.example:5000/token"));
}

TEST_CASE("mirror realm: another port is another program, unless it is the scheme's own or named") {
  CHECK_FALSE(trusts("http://r.example:5000", "http://r.example:5001/token"));
  CHECK_FALSE(trusts("https://r.example", "https://r.example:8443/token"));
  CHECK_FALSE(trusts("https://registry-1.docker.io", "https://auth.docker.io:8443/token"));
  // A registry on a port of its own beside the service that gives its tokens, as GitLab's is set up.
  CHECK(trusts("https://git.example:5050", "https://git.example/jwt/auth"));
  CHECK(trusts("http://r.example:5000", "http://r.example:5001/token", "r.example:5001"));
  CHECK_FALSE(trusts("https://r.example", "https://auth.example:8443/token", "auth.example"));
  CHECK(trusts("https://r.example", "https://[fd00::1]:8443/token", "[fd00::1]:8443"));
}

}  // namespace
}  // namespace stele::mirror
