// What a 401 asks for, from well-formed fields and from any bytes.

#include "mirror/challenge.hpp"

#include "tests/support/catch.hpp"

namespace stele::mirror {
namespace {

TEST_CASE("mirror challenge: realm and service of Bearer, which goes before Basic") {
  const auto found = parse_challenges(
      {R"(Basic realm="b", bearer realm="https://a.example/t?x=\"1,2\"", service=r.example,scope="s")"});
  REQUIRE(found);
  CHECK(found->kind == Challenge::Kind::bearer);
  CHECK(found->realm == "https://a.example/t?x=\"1,2\"");
  CHECK(found->service == "r.example");
  const auto basic = parse_challenges({R"(Negotiate)", R"(Basic realm="b")"});
  REQUIRE(basic);
  CHECK(basic->kind == Challenge::Kind::basic);
}

TEST_CASE("mirror challenge: another scheme's parameters are not Bearer's") {
  const auto found = parse_challenges({R"(Bearer realm="https://a.example/t", Digest realm="https://evil")"});
  REQUIRE(found);
  CHECK(found->realm == "https://a.example/t");
}

TEST_CASE("mirror challenge: bytes that are none are no challenge") {
  for (const std::string_view text : {"", ",,,", "=", "\"", "Digest realm=\"x", "\xff\xfe \\", "realm=\"x\""})
    CHECK_FALSE(parse_challenges({text}));
  CHECK_FALSE(parse_challenges({}));
}

}  // namespace
}  // namespace stele::mirror
