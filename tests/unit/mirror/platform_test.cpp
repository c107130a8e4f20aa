#include "mirror/platform.hpp"

#include "tests/support/catch.hpp"

namespace stele::mirror::platform_test {
namespace {

const Digest amd64 = Digest::of(DigestAlgorithm::sha256, "amd64");
const Digest armv6 = Digest::of(DigestAlgorithm::sha256, "armv6");
const Digest attestation = Digest::of(DigestAlgorithm::sha256, "attestation");
const Digest nested = Digest::of(DigestAlgorithm::sha256, "nested");

std::string entry(const Digest& digest, const std::string& platform) {
  return R"({"digest":")" + digest.str() + "\"" + (platform.empty() ? "" : R"(,"platform":)" + platform) +
         "}";
}

const std::string index = R"({"manifests":[)" + entry(amd64, R"({"os":"linux","architecture":"amd64"})") +
                          "," + entry(armv6, R"({"os":"linux","architecture":"arm","variant":"v6"})") + "," +
                          entry(attestation, R"({"os":"unknown","architecture":"unknown"})") + "," +
                          entry(nested, "") + "]}";

TEST_CASE("of an index what was asked for is chosen, with every variant where none was named") {
  PlatformChoice choice({"linux/arm"});
  const auto chosen = choice.choose(index);
  CHECK(chosen(armv6));
  CHECK_FALSE(chosen(amd64));
  CHECK_FALSE(chosen(attestation));
  CHECK(chosen(nested));
  CHECK(choice.unmatched().empty());
}

TEST_CASE("a variant that was named is the only one, and what no index has is told") {
  PlatformChoice choice({"linux/arm/v7", "linux/amd64"});
  const auto chosen = choice.choose(index);
  CHECK_FALSE(chosen(armv6));
  CHECK(chosen(amd64));
  CHECK(choice.unmatched() == std::vector<std::string>{"linux/arm/v7"});
  CHECK(choice.others() == "linux/amd64, linux/arm/v6");
}

TEST_CASE("without platforms everything is chosen, and an image that is no index lacks none") {
  PlatformChoice all({});
  CHECK(all.choose(index)(attestation));
  CHECK(PlatformChoice({"linux/amd64"}).unmatched().empty());
}

TEST_CASE("an index of nonsense has no platform and ends nothing") {
  for (const char* text :
       {"", "[]", "{}", R"({"manifests":{}})", R"({"manifests":[1,{"digest":2,"platform":3}]})",
        R"({"manifests":[{"platform":{"os":1}}]})"}) {
    PlatformChoice choice({"linux/amd64"});
    CHECK_FALSE(choice.choose(text)(amd64));
    CHECK(choice.unmatched().size() == 1);
  }
}

TEST_CASE("a platform is a system and a machine, perhaps with a variant") {
  for (const char* text : {"linux/amd64", "linux/arm/v7", "windows/amd64"})
    CHECK(check_platform(text).has_value());
  for (const char* text : {"", "linux", "linux/", "/amd64", "a//b", "a/b/c/d", "Linux/amd64", "linux/amd 64"})
    CHECK_FALSE(check_platform(text).has_value());
}

}  // namespace
}  // namespace stele::mirror::platform_test
