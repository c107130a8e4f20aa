// Ages: of pushes, of pulls, and of what is not known (I8).

#include "tests/unit/policy/plan.hpp"

namespace stele::policy {
namespace {

TEST_CASE("judge: an age that is exactly the limit counts on both sides, and keep beats expire") {
  for (const auto& [more, expired] : std::vector<std::pair<int, std::string>>{{-1, ""}, {0, "a"}, {1, "a"}}) {
    World world;
    world.image("a", days_ago(14, more));
    CHECK(Plan(world, rules("", "{tags: [a], older_than: 14d}")).expired() == expired);
    const Plan both(world, rules("{pushed_within: 14d}", "{tags: [a], older_than: 14d}"));
    CHECK(both.expired() == (more > 0 ? "a" : ""));
  }
}

TEST_CASE(
    "judge: the push time is that of the tag's binding, and an untagged manifest's that of its last tag") {
  World world;
  world.image("moved", days_ago(500));
  world.tags.back().pushed_at = days_ago(1);
  world.manifest("left").untagged_at = days_ago(2);
  world.manifest("long-left").untagged_at = days_ago(20);
  WorldManifest& pushed_again = world.manifest("pushed-again");
  pushed_again.pushed_at = days_ago(2);
  pushed_again.untagged_at = days_ago(20);
  const Plan plan(world, rules("", "{older_than: 7d}, {untagged: true, older_than: 7d}"));
  CHECK(plan.expired() == "@long-left");
}

TEST_CASE("judge: a pull counts only where pulls were recorded all through the window (I8)") {
  struct Row {
    int recorded;  // days; negative: never
    int pulled;    // days ago; negative: not that anybody knows
    bool expired_by_not_pulled_for;
    bool kept_by_pulled_within;
  };
  // Both of 30 days.
  const std::vector<Row> table{
      {100, 29, false, true}, {100, 30, true, true}, {100, 31, true, false}, {100, -1, true, false},
      {30, -1, true, false},  {29, -1, false, true}, {29, 40, false, true},  {29, 10, false, true},
      {-1, -1, false, true},  {-1, 90, false, true},
  };
  for (const Row& row : table) {
    INFO("recorded " << row.recorded << " pulled " << row.pulled);
    World world = world_of({{"a", 400}});
    world.pulls_since.reset();
    if (row.recorded >= 0) world.pulls_since = days_ago(row.recorded);
    if (row.pulled >= 0) world.manifests[0].pulled_at = days_ago(row.pulled);
    CHECK(Plan(world, rules("", "{not_pulled_for: 30d}")).expired() ==
          (row.expired_by_not_pulled_for ? "a" : ""));
    CHECK(Plan(world, rules("{pulled_within: 30d}", "{everything_else: true}")).kept() ==
          (row.kept_by_pulled_within ? "a" : ""));
  }
}

TEST_CASE(
    "judge: last used is the latest of pushed, tagged and pulled, and a child's pull counts for its index") {
  World world;
  world.image("index", days_ago(400)).entries = {"inner"};
  world.manifest("inner").entries = {"leaf", "inner"};
  world.manifest("leaf").pulled_at = days_ago(10);
  world.manifest("referrer").subject = "index";
  world.manifests.back().pulled_at = days_ago(5);
  const Plan plan(world, rules("", "{not_pulled_for: 30d}, {untagged: true, not_pulled_for: 30d}"));
  CHECK(plan.expired().empty());
  CHECK(plan.item("index").last_used == days_ago(10));
  CHECK(plan.item("@inner").last_used == days_ago(10));
  CHECK(Plan(world, rules("", "{not_pulled_for: 10d}")).expired() == "index @inner @leaf @referrer");
  world.tag("second", "index", days_ago(3));
  const Plan tagged(world, rules("", "{not_pulled_for: 10d}"));
  CHECK(tagged.expired().empty());
  CHECK(tagged.item("index").last_used == days_ago(3));
}

TEST_CASE("judge: what is not known keeps and does not expire (I8)") {
  World world = world_of({{"a", 90}});
  world.manifests[0].labels.reset();
  world.manifests[0].artifact_type.reset();
  CHECK(Plan(world, rules("", "{label: {team: \"*\"}}")).expired().empty());
  CHECK(Plan(world, rules("", "{artifact_type: \"**\"}")).expired().empty());
  CHECK(Plan(world, rules("{label: {team: x}}", "{everything_else: true}")).expired().empty());
  CHECK(Plan(world, rules("{artifact_type: x}", "{everything_else: true}")).expired().empty());
}

TEST_CASE("judge: what has no push time is of no age: it stays, says so, and takes no slot (L16, S3, I8)") {
  World world = world_of({{"old", 90}, {"new", 1}, {"undated", 1}});
  world.manifest("lost").pushed_at = never;
  for (const char* name : {"undated", "lost"})
    world.manifests[static_cast<std::size_t>(world.row(name))].pushed_at = never;
  world.tags.back().pushed_at = never;
  for (const char* expire :
       {"{older_than: 1d}, {untagged: true, older_than: 1d}", "{not_pulled_for: 1d}", "{size_budget: 1}"}) {
    const Plan plan(world, rules("{tags: [new], pushed_within: 2d}", expire));
    INFO(expire);
    CHECK(plan.expired() == "old");
    CHECK(plan.reason("undated").find("no push time") == 0);
    CHECK(plan.reason("@lost").find("no push time") == 0);
  }
  const std::string rest = "{everything_else: true}";
  CHECK(Plan(world, rules("{newest_pushed: 1}", rest)).kept() == "new undated");
  CHECK(Plan(world, rules("{untagged: true, newest_pushed: 1}", rest)).kept() == "@lost");
  CHECK(Plan(world, rules("{pushed_within: 2d}", rest)).kept() == "new undated @lost");
  CHECK(Plan(world, rules("", rest)).kept().empty());  // that asks for no age
}

}  // namespace
}  // namespace stele::policy
