#include "base/hasher.hpp"
#include "base/bytes.hpp"
#include "tests/support/catch.hpp"

namespace stele {
namespace {

TEST_CASE("base: a saved digest state goes on exactly where it was") {
  const auto algorithm = GENERATE(DigestAlgorithm::sha256, DigestAlgorithm::sha512);
  std::string text;
  for (int i = 0; i < 1000; ++i) text += static_cast<char>(i * 31 % 251);
  for (const std::size_t cut : {std::size_t{0}, std::size_t{1}, std::size_t{63}, std::size_t{64},
                                std::size_t{65}, std::size_t{128}, std::size_t{777}, text.size()}) {
    Hasher first(algorithm);
    first.update(as_bytes(std::string_view(text).substr(0, cut)));
    auto second = Hasher::restore(first.save());
    REQUIRE(second.has_value());
    second->update(as_bytes(std::string_view(text).substr(cut)));
    CHECK(second->finish() == Digest::of(algorithm, text));
  }
}

TEST_CASE("base: finishing does not disturb what follows") {
  Hasher hasher(DigestAlgorithm::sha256);
  hasher.update(as_bytes("a"));
  CHECK(hasher.finish() == Digest::of(DigestAlgorithm::sha256, "a"));
  hasher.update(as_bytes("bc"));
  CHECK(hasher.finish() == Digest::of(DigestAlgorithm::sha256, "abc"));
}

TEST_CASE("base: a damaged state is refused, never used") {
  Hasher hasher(DigestAlgorithm::sha256);
  hasher.update(as_bytes("some bytes"));
  const std::string image = hasher.save();
  CHECK_FALSE(Hasher::restore("").has_value());
  CHECK_FALSE(Hasher::restore(image.substr(1)).has_value());
  CHECK_FALSE(Hasher::restore(image + "x").has_value());
  // Whatever a flipped byte does to the state, using it must stay inside the block buffer (ASan watches).
  for (std::size_t i = 0; i < image.size(); ++i) {
    std::string flipped = image;
    flipped[i] = static_cast<char>(flipped[i] ^ 0xff);
    auto restored = Hasher::restore(flipped);
    if (!restored) continue;
    restored->update(as_bytes(std::string(300, 'x')));
    CHECK(restored->finish().str().size() > 64);
  }
}

TEST_CASE("base: row checksums separate their parts") {
  CHECK(row_checksum({"ab", "c"}) != row_checksum({"a", "bc"}));
  CHECK(row_checksum({"a"}) == row_checksum({"a"}));
  CHECK(row_checksum({}) != row_checksum({""}));
}

}  // namespace
}  // namespace stele
