// Snapshots that cannot be right, and very long ones (I8, I10).

#include <stdexcept>

#include "tests/unit/policy/plan.hpp"

namespace stele::policy {
namespace {

TEST_CASE("judge: a tag whose row names no manifest stays (I8)") {
  World world = world_of({{"a", 90}});
  world.tag("broken", "nowhere");
  world.tag(signature_of('1'), "nowhere").signs = "a";
  const Plan plan(world, rules("", "{everything_else: true}"));
  CHECK(plan.expired() == "a");
  CHECK(plan.kept() == "broken " + signature_of('1'));
}

TEST_CASE("judge: a snapshot whose rows name rows that it lacks is not judged (I8)") {
  const LifecycleText read(rules("", "{everything_else: true}"));
  const auto refused = [&](const auto& damage) {
    World world;
    world.blobs["x"] = {1, false};
    WorldManifest& manifest = world.image("a");
    manifest.blobs = {"x"};
    manifest.entries = {"a"};
    manifest.labels->emplace("k", "v");
    Snapshot snapshot = world.snapshot();
    damage(snapshot);
    CHECK_THROWS_AS(judge(*read.compiled(), snapshot), std::invalid_argument);
  };
  refused([](Snapshot& s) { s.entries[0] = 7; });
  refused([](Snapshot& s) { s.entries[0] = -1; });
  refused([](Snapshot& s) { s.blob_uses[0] = 1; });
  refused([](Snapshot& s) { s.labels[0].key = 9; });
  refused([](Snapshot& s) { s.tags[0].manifest = 1; });
  refused([](Snapshot& s) { s.tags[0].signs = -3; });
  refused([](Snapshot& s) { s.tags[0].blocker = 0; });
  refused([](Snapshot& s) { s.manifests[0].subject = -2; });
  refused([](Snapshot& s) { s.manifests[0].artifact_type = 40; });
  refused([](Snapshot& s) { s.manifests[0].blobs.count = 2; });
  refused([](Snapshot& s) { s.manifests[0].labels.first = 0xffffffff; });
}

TEST_CASE("judge: circles of damaged rows end, and a circle that nothing hits stays") {
  World world;
  world.manifest("a").entries = {"b"};
  world.manifest("b").entries = {"a"};
  world.manifests.back().subject = "b";
  world.manifest("self").subject = "self";
  world.manifest("s");
  world.tag(signature_of('1'), "s").signs = "s";
  const Plan plan(world, rules("", "{untagged: true}"));
  CHECK(plan.expired() == "@a @b @self");
  CHECK(plan.leader("@b") == "@a");
  CHECK(plan.kept() == signature_of('1'));
  CHECK(Plan(world, rules("", "{untagged: true, larger_than: 5}, {not_pulled_for: 3d}")).expired().empty());
  CHECK(Plan(world, rules("", "{tags: [\"*\"]}")).expired().empty());
}

// A chain of `length` indexes, or of referrers, that hangs from a tag.
Snapshot chain(std::size_t length, bool of_indexes, bool with_pull) {
  Snapshot snapshot;
  snapshot.repository = "ci/app";
  snapshot.now = world_now;
  snapshot.pulls_since = days_ago(1000);
  for (std::size_t i = 0; i < length; ++i) {
    SnapshotManifest& manifest = snapshot.manifests.emplace_back();
    manifest.id = static_cast<std::int64_t>(i);
    manifest.pushed_at = days_ago(100);
    manifest.bytes = 1;
    if (of_indexes && i + 1 < length) {
      manifest.entries = {static_cast<std::uint32_t>(snapshot.entries.size()), 1};
      snapshot.entries.push_back(static_cast<RowIndex>(i + 1));
    }
    if (!of_indexes && i > 0) manifest.subject = static_cast<RowIndex>(i - 1);
  }
  if (with_pull) snapshot.manifests.back().pulled_at = days_ago(1);
  SnapshotTag& tag = snapshot.tags.emplace_back();
  tag.name = "pr-1";
  tag.manifest = 0;
  tag.pushed_at = days_ago(100);
  return snapshot;
}

// A step for each pair of links would be 10^11 of them, which do not end before the test's time is over.
TEST_CASE(
    "judge: chains of half a million neither overflow the stack nor are gone through for each link (I10)") {
  constexpr std::size_t length = 500'000;
  const LifecycleText read(
      rules("", "{not_pulled_for: 30d}, {larger_than: 1GiB}, {untagged: true, larger_than: 499000}"));
  REQUIRE(read.good());
  for (const bool of_indexes : {true, false}) {
    const Judgement gone = judge(*read.compiled(), chain(length, of_indexes, false));
    CHECK(gone.removals.size() == length);
    CHECK(gone.bytes_freed == static_cast<std::int64_t>(length));
    Snapshot held = chain(length, of_indexes, false);
    held.blockers.push_back({Blocker::Kind::hold, "x"});
    held.manifests.back().blocker = 0;
    CHECK(judge(*read.compiled(), held).removals.empty());
  }
  CHECK(judge(*read.compiled(), chain(length, true, true)).removals.empty());
}

}  // namespace
}  // namespace stele::policy
