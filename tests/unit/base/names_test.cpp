#include "base/media_type.hpp"
#include "base/reference.hpp"
#include "tests/support/catch.hpp"

namespace stele {
namespace {

const std::string hex256(64, 'a');
const std::string hex512(128, '0');

TEST_CASE("base: repository names follow the specification's grammar") {
  const std::string longest(255, 'a');
  for (const std::string& name : {std::string("a"), std::string("library/alpine"),
                                  std::string("a.b_c__d-e---f/0"), std::string("a/b/c/d/e"), longest}) {
    INFO(name);
    REQUIRE(RepositoryName::parse(name).has_value());
    CHECK(RepositoryName::parse(name)->str() == name);
  }
  for (const std::string& name :
       {std::string(), std::string("A"), std::string("a//b"), std::string("/a"), std::string("a/"),
        std::string("a..b"), std::string("a___b"), std::string("a._b"), std::string("-a"), std::string("a-"),
        std::string("a/../b"), std::string("a b"), std::string("a\0b", 3), std::string("\xc0\xae"),
        std::string("a%2fb"), longest + "a"}) {
    INFO(name);
    REQUIRE_FALSE(RepositoryName::parse(name).has_value());
    CHECK(RepositoryName::parse(name).error().code() == Errc::name_invalid);
  }
}

TEST_CASE("base: tags and references") {
  for (const std::string& tag :
       {std::string("latest"), std::string("_x"), std::string("1.2.3-rc.1"), std::string(128, 'x')}) {
    CHECK(Tag::parse(tag).has_value());
  }
  for (const std::string& tag : {std::string(), std::string(".a"), std::string("-a"), std::string("a/b"),
                                 std::string("a:b"), std::string("a b"), std::string(129, 'x')}) {
    INFO(tag);
    CHECK_FALSE(Tag::parse(tag).has_value());
  }
  CHECK(Reference::parse("sha256:" + hex256)->digest() != nullptr);
  CHECK(Reference::parse("v1")->tag() != nullptr);
  CHECK(Reference::parse("sha256:short").error().code() == Errc::digest_invalid);
  CHECK(Reference::parse("../x").error().code() == Errc::tag_invalid);
}

TEST_CASE("base: digests are exact") {
  CHECK(Digest::parse("sha256:" + hex256)->algorithm() == DigestAlgorithm::sha256);
  CHECK(Digest::parse("sha512:" + hex512)->algorithm() == DigestAlgorithm::sha512);
  CHECK(Digest::parse("sha512:" + hex512)->hex() == hex512);
  for (const std::string& text :
       {"sha256:" + hex512, "sha512:" + hex256, "sha256:" + std::string(64, 'A'), "md5:" + hex256,
        "sha256:" + std::string(63, 'a') + "g", std::string("sha256"), std::string()}) {
    INFO(text);
    CHECK_FALSE(Digest::parse(text).has_value());
  }
  // FIPS 180-4's example.
  CHECK(Digest::of(DigestAlgorithm::sha256, "abc").str() ==
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_CASE("base: upload ids are random and strict") {
  const UploadId id = UploadId::random();
  CHECK(UploadId::parse(id.str())->str() == id.str());
  CHECK(UploadId::random().str() != id.str());
  for (const std::string& text : {std::string(), id.str() + "0", std::string(32, 'G'),
                                  std::string("../../../../../../../etc/passwd")}) {
    CHECK(UploadId::parse(text).error().code() == Errc::upload_unknown);
  }
}

TEST_CASE("base: media types without parameters") {
  CHECK(media_type::essence(" Application/JSON ; charset=utf-8") == "application/json");
  CHECK(media_type::essence("").empty());
  CHECK(media_type::is_nondistributable("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"));
  CHECK(media_type::is_nondistributable("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"));
  CHECK_FALSE(media_type::is_nondistributable("application/vnd.oci.image.layer.v1.tar+gzip"));
}

}  // namespace
}  // namespace stele
