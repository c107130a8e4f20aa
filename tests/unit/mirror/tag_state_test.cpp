// When a tag may follow upstream.

#include "mirror/tag_state.hpp"

#include "tests/support/catch.hpp"

namespace stele::mirror {
namespace {

Digest digest_of(std::string_view content) {
  return Digest::of(DigestAlgorithm::sha256, content);
}

catalog::MirroredTag said(std::string_view content, std::int64_t learned) {
  return {digest_of(content), "type", 1, "https://u", {learned}, {learned + 5}};
}

TEST_CASE("mirror tag: a quarantine lasts from when another digest was first seen") {
  const std::chrono::seconds week(7 * 86400);
  const std::int64_t microseconds = std::int64_t{7} * 86400 * 1'000'000;
  CHECK(end_of_quarantine(said("new", 10), digest_of("old"), week) == Timestamp{10 + microseconds});
  CHECK(end_of_quarantine(said("newer", 20), digest_of("old"), week) == Timestamp{20 + microseconds});
  CHECK(!end_of_quarantine(said("old", 10), digest_of("old"), week).has_value());
  CHECK(!end_of_quarantine(said("new", 10), digest_of("old"), std::chrono::seconds(0)).has_value());
}

TEST_CASE(
    "mirror tag: what is held comes before what upstream says, also when its content was cleared away") {
  TagState state;
  CHECK(!state.meant().has_value());
  state.said = said("new", 1);
  CHECK(state.meant() == digest_of("new"));
  CHECK(!state.held().has_value());
  state.pin = digest_of("cleared");
  CHECK(state.meant() == digest_of("cleared"));
  state.bound = digest_of("old");
  CHECK(state.meant() == digest_of("old"));
  CHECK(state.held() == digest_of("old"));
}

}  // namespace
}  // namespace stele::mirror
