// Which are the newest: ranks, and what takes no slot in them.

#include "tests/unit/policy/plan.hpp"

namespace stele::policy {
namespace {

TEST_CASE("judge: ranks count distinct digests that pass the filters") {
  World world = world_of({{"a", 10}, {"b", 9}, {"c", 8}, {"d", 7}});
  world.tag("also-d", "d", days_ago(1));
  world.tag("d-again", "d", days_ago(2));
  const std::string rest = "{everything_else: true}";
  CHECK(Plan(world, rules("{newest_pushed: 2}", rest)).kept() == "also-d c d d-again");
  CHECK(Plan(world, rules("{tags: [a, b, c], newest_pushed: 2}", rest)).kept() == "b c");
  CHECK(Plan(world, rules("{newest_pushed: 9}", rest)).expired().empty());
  // Of two as new as each other, the later name.
  World ties = world_of({{"x", 5}, {"y", 5}, {"z", 5}});
  CHECK(Plan(ties, rules("{newest_pushed: 2}", rest)).kept() == "y z");
  // Two ranks in one entry: both must hold.
  CHECK(Plan(world_of({{"1.0.0", 1}, {"2.0.0", 9}, {"3.0.0", 10}}),
             rules("{newest_pushed: 2, newest_semver: 2}", rest))
            .kept() == "2.0.0");
}

TEST_CASE("judge: what was pushed at the same moment ranks by its commit, then by its name (L15, S2)") {
  World world = world_of({{"a", 5}, {"b", 5}, {"c", 5}, {"d", 5}});
  const auto commit = [&](const std::string& order) {  // as one after the other
    for (WorldTag& tag : world.tags) tag.sequence = static_cast<std::int64_t>(order.find(tag.name)) + 1;
  };
  const std::string rest = "{everything_else: true}";
  commit("cadb");
  CHECK(Plan(world, rules("{newest_pushed: 2}", rest)).kept() == "b d");
  CHECK(Plan(world, rules("{newest_pulled: 3}", rest)).kept() == "a b d");
  CHECK(Plan(world, rules("", "{size_budget: 1}")).expired() == "a c d");
  commit("bdac");
  CHECK(Plan(world, rules("{newest_pushed: 2}", rest)).kept() == "a c");
  CHECK(Plan(world, rules("", "{size_budget: 1}")).expired() == "a b d");
  // The time comes first, the name last.
  world.tags.front().pushed_at = days_ago(6);
  CHECK(Plan(world, rules("{newest_pushed: 2}", rest)).kept() == "c d");
  for (WorldTag& tag : world.tags) tag.sequence = 0;
  CHECK(Plan(world, rules("{newest_pushed: 2}", rest)).kept() == "c d");
  // Of versions that are the same one, too.
  World versions = world_of({{"1.0.0", 5}, {"v1.0.0", 5}});
  versions.tags.front().sequence = 2;
  CHECK(Plan(versions, rules("{newest_semver: 1}", rest)).kept() == "1.0.0");
}

TEST_CASE("judge: what other tags an image has") {
  World world = world_of({{"build-1", 90}, {"build-2", 80}, {"build-3", 70}});
  world.tag("live", "build-2", days_ago(60));
  world.tag("v1", "build-2", days_ago(60));
  world.tag("v2", "build-3", days_ago(60));
  world.manifest("untagged").pushed_at = days_ago(90);
  const std::string old = "{older_than: 30d}, {untagged: true, older_than: 30d}";
  // All tags of the image stay, and no untagged manifest passes.
  CHECK(Plan(world, rules("{also_tagged: live}", old)).kept() == "build-2 live v1");
  CHECK(Plan(world, rules("{tags: [\"build-*\"], also_tagged: \"v*\"}", old)).kept() == "build-2 build-3");
  // For each pattern one tag, which may be the judged one.
  CHECK(Plan(world, rules("", "{also_tagged: [\"build-*\", \"v*\"]}")).expired() ==
        "build-2 build-3 live v1 v2");
  CHECK(Plan(world, rules("", "{also_tagged: [\"build-*\", live, v1]}")).expired() == "build-2 live v1");
  CHECK(Plan(world, rules("", "{tags: [\"build-*\"], also_tagged: \"build-*\"}")).expired() ==
        "build-1 build-2 build-3");
}

TEST_CASE("judge: ranks of untagged manifests are among themselves (L21)") {
  World world = world_of({{"tagged", 1}});
  for (const int age : {50, 40, 30, 20}) world.manifest("u" + std::to_string(age)).pushed_at = days_ago(age);
  world.manifest("index").pushed_at = days_ago(45);
  world.manifests.back().entries = {"u20"};  // stays or goes with it
  world.manifests[static_cast<std::size_t>(world.row("u50"))].untagged_at = days_ago(5);
  world.manifests[static_cast<std::size_t>(world.row("u40"))].blocker = in_use;  // takes no slot
  const Plan plan(world, rules("{untagged: true, newest_pushed: 2}", "{everything_else: true}"));
  CHECK(plan.expired() == "tagged @u20 @index");
  // Ranks of tags keep nothing without one.
  const Plan tags(world, rules("{newest_pushed: 9}", "{everything_else: true}"));
  CHECK(tags.kept() == "tagged");
  CHECK(tags.expired() == "@u50 @u30 @u20 @index");
}

TEST_CASE("judge: protected tags take no slot, and signatures are never counted") {
  World world = world_of({{"a", 4}, {"b", 3}, {"c", 2}, {"d", 1}});
  world.tags[3].blocker = Blocker{Blocker::Kind::tag_rule, "releases"};
  world.manifests[2].blocker = in_use;
  WorldManifest& signature = world.manifest("s");
  signature.pushed_at = days_ago(0);
  world.tag(signature_of('1'), "s", days_ago(0)).signs = "a";
  world.manifest("t");
  world.tag(signature_of('2'), "t", days_ago(0)).signs = "?";
  const Plan plan(world, rules("{newest_pushed: 1}", "{everything_else: true}"));
  CHECK(plan.kept() == "b");
  CHECK(plan.blocked() == "c d");
  CHECK(plan.expired() == "a " + signature_of('1') + " " + signature_of('2'));
  CHECK(plan.leader(signature_of('1')) == "a");
  CHECK(plan.leader(signature_of('2')) == signature_of('2'));
}

TEST_CASE("judge: newest_semver ranks versions by precedence and matches nothing else") {
  World world = world_of(
      {{"1.10.0", 9}, {"1.9.0", 1}, {"v1.10.1-rc.1", 2}, {"v1.10.1-rc.2", 3}, {"nightly", 0}, {"0.1.0", 0}});
  world.tag("latest", "1.10.0", days_ago(1));
  world.tag("1.10", "1.10.0", days_ago(1));
  const std::string rest = "{everything_else: true}";
  CHECK(Plan(world, rules("{newest_semver: 1}", rest)).kept() == "v1.10.1-rc.2");
  const Plan three(world, rules("{newest_semver: 3}", rest));
  CHECK(three.kept() == "1.10 1.10.0 v1.10.1-rc.1 v1.10.1-rc.2");
  CHECK(three.reason("latest") ==
        "expire entry 1 of rule ci (everything_else) hits it; its manifest stays, also tagged 1.10");
}

TEST_CASE("judge: newest_pulled keeps what may have been pulled unseen, without a slot (I8)") {
  World world = world_of({{"a", 9}, {"b", 8}, {"c", 7}});
  world.manifests[0].pulled_at = days_ago(2);
  world.manifests[1].pulled_at = days_ago(1);
  const std::string policy = rules("{newest_pulled: 1}", "{everything_else: true}");
  CHECK(Plan(world, policy).kept() == "b");
  // What was never pulled is as young as its push.
  world.image("young", days_ago(0));
  CHECK(Plan(world, policy).kept() == "young");
  world.manifests.pop_back();
  world.tags.pop_back();
  world.pulls_since = days_ago(7);  // c came when pulls were recorded, a and b were pulled since
  CHECK(Plan(world, policy).kept() == "b");
  world.image("ancient", days_ago(100));
  CHECK(Plan(world, policy).kept() == "ancient b");
  world.pulls_since = days_ago(1, 1);
  CHECK(Plan(world, policy).kept() == "a ancient b c");
  world.pulls_since.reset();
  CHECK(Plan(world, policy).expired().empty());
}

}  // namespace
}  // namespace stele::policy
