// What the rules select, and what beats what.

#include <algorithm>

#include "tests/unit/policy/plan.hpp"

namespace stele::policy {
namespace {

TEST_CASE("judge: without an expire rule nothing goes") {
  World world = world_of({{"latest", 500}});
  world.manifest("untagged");
  const Plan plan(world, rules("{newest_semver: 3}", ""));
  CHECK(plan.kept() == "latest @untagged");
  CHECK(plan.reason("@untagged") == "no expire entry says otherwise");
  CHECK(plan.judgement().bytes_freed == 0);
  World other = world_of({{"latest", 500}});
  other.repository = "prod/app";
  CHECK(Plan(other,
             "lifecycle_rules: [{name: a, repositories: [\"ci/**\"], expire: [{everything_else: true}]}]\n")
            .kept() == "latest");
}

TEST_CASE("judge: the selectors, one by one") {
  struct Row {
    std::string keep;
    std::string expire;
    std::string gone;
  };
  World world;
  world.pulls_since = days_ago(100);
  world.image("old", days_ago(50));
  world.image("week", days_ago(7));
  world.image("new", days_ago(1));
  WorldManifest& pulled = world.image("pulled", days_ago(60));
  pulled.pulled_at = days_ago(3);
  WorldManifest& sbom = world.image("sbom", days_ago(60));
  sbom.artifact_type = "application/spdx+json";
  WorldManifest& labelled = world.image("team", days_ago(60));
  labelled.labels->emplace("team", "red");
  world.blobs["layer"] = {5000, false};
  WorldManifest& large = world.image("large", days_ago(60));
  large.blobs = {"layer"};
  world.manifest("untagged").pushed_at = days_ago(20);
  const std::vector<Row> table{
      {"", "{tags: [\"*\"]}", "large new old pulled sbom team week"},
      {"", "{tags: [old, \"/p.*/\"]}", "old pulled"},
      {"", "{tags: [\"*\", \"!old\"], older_than: 50d}", "large pulled sbom team"},
      {"", "{older_than: 50d}", "large old pulled sbom team"},
      {"", "{older_than: 51d}", "large pulled sbom team"},
      {"", "{not_pulled_for: 50d}", "large old sbom team"},
      {"", "{tags: [\"*\"], not_pulled_for: 3d}", "large old pulled sbom team week"},
      {"", "{artifact_type: \"application/**\"}", "sbom"},
      {"", "{artifact_type: [\"**\", \"!image\"]}", "sbom"},
      {"", "{label: {team: r*}}", "team"},
      {"", "{label: {team: blue}}", ""},
      {"", "{label: {colour: \"*\"}}", ""},
      {"", "{larger_than: 5000}", "large"},
      {"", "{larger_than: 5001}", ""},
      {"", "{untagged: true}", "@untagged"},
      {"", "{untagged: true, older_than: 20d}", "@untagged"},
      {"", "{untagged: true, older_than: 21d}", ""},
      {"", "{everything_else: true}", "large new old pulled sbom team week @untagged"},
      {"{tags: [\"*\"]}", "{everything_else: true}", "@untagged"},
      {"", "{everything_else: true, older_than: 50d}", "large old pulled sbom team"},
      {"", "{everything_else: true, not_pulled_for: 20d}", "large old sbom team @untagged"},
      {"{pushed_within: 7d}", "{everything_else: true}", "large old pulled sbom team @untagged"},
      {"{pushed_within: 20d}", "{everything_else: true}", "large old pulled sbom team"},
      {"{pulled_within: 3d}", "{everything_else: true}", "large new old sbom team week @untagged"},
      {"{pulled_within: 2d}", "{everything_else: true}", "large new old pulled sbom team week @untagged"},
      {"{label: {team: \"*\"}}, {tags: [new]}", "{everything_else: true}",
       "large old pulled sbom week @untagged"},
      {"{label: {team: \"*\"}, tags: [new]}", "{everything_else: true}",
       "large new old pulled sbom team week @untagged"},
      {"{newest_pushed: 2}", "{everything_else: true}", "large old pulled sbom team @untagged"},
      {"{newest_pushed: 1, tags: [old, large]}", "{everything_else: true}",
       "large new pulled sbom team week @untagged"},
      {"", "{pushed_within: 7d}", "new week"},
      {"", "{pulled_within: 7d}", "pulled"},
  };
  for (const Row& row : table) {
    INFO("keep " << row.keep << " expire " << row.expire);
    CHECK(Plan(world, rules(row.keep, row.expire)).expired() == row.gone);
  }
}

TEST_CASE("judge: keep beats expire across rules, and all rules that match apply together") {
  World world = world_of({{"a", 90}, {"b", 90}});
  const Plan plan(world, R"(lifecycle: {keep_last: 0}
lifecycle_rules:
  - {name: one, repositories: ["ci/**"], expire: [{older_than: 30d}]}
  - {name: two, keep: [{tags: [a]}]}
  - {name: other, repositories: ["prod/**"], keep: [{tags: [b]}]}
)");
  CHECK(plan.expired() == "b");
  CHECK(plan.rule("b") == "one");
  CHECK(plan.reason("b") == "expire entry 1 of rule one (older_than 30d) hits it");
  CHECK(plan.rule("a") == "two");
  CHECK(plan.reason("a") == "keep entry 1 of rule two (tags a) keeps it");
}

TEST_CASE("judge: the same snapshot gives the same plan, whatever the order of its tags") {
  World world = world_of({{"pr-2", 30}, {"pr-10", 30}, {"B", 30}, {"a", 30}});
  world.manifest("z");
  const std::string policy = rules("{newest_pushed: 1}", "{everything_else: true}");
  const Plan plan(world, policy);
  CHECK(plan.expired() == "B a pr-10 @z");
  World turned = world;
  std::reverse(turned.tags.begin(), turned.tags.end());
  const Plan other(turned, policy);
  CHECK(other.expired() == plan.expired());
  CHECK(other.reason("a") == plan.reason("a"));
}

}  // namespace
}  // namespace stele::policy
