// What bounds a run: the last image, a budget of bytes, a fraction of the manifests.

#include "tests/unit/policy/plan.hpp"

namespace stele::policy {
namespace {

TEST_CASE("judge: the last image of a repository never goes (keep_last)") {
  World world = world_of({{"a", 30}, {"b", 20}, {"c", 20}});
  world.tag("a-too", "a", days_ago(25));
  world.manifest("s");
  world.tag(signature_of('1'), "s", days_ago(1)).signs = "?";
  const auto policy = [](int keep_last, const std::string& keep) {
    return "lifecycle: {keep_last: " + std::to_string(keep_last) + "}\nlifecycle_rules: [{name: ci, keep: [" +
           keep + "], expire: [{everything_else: true}]}]\n";
  };
  const Plan one(world, policy(1, ""));
  CHECK(one.blocked() == "c");
  CHECK(one.reason("c").find("the last image of a repository never goes (keep_last)") != std::string::npos);
  CHECK(one.expired() == "a a-too b " + signature_of('1'));
  CHECK(Plan(world, policy(0, "")).blocked().empty());
  CHECK(Plan(world, policy(2, "")).blocked() == "b c");
  CHECK(Plan(world, policy(3, "")).blocked() == "a a-too b c");
  CHECK(Plan(world, policy(9, "")).blocked() == "a a-too b c");
  // One stays anyway.
  CHECK(Plan(world, policy(1, "{tags: [a]}")).blocked().empty());
  CHECK(Plan(world, policy(2, "{tags: [a]}")).blocked() == "c");
}

TEST_CASE("judge: size_budget comes last, oldest first, until what remains fits") {
  World world = world_of({{"a", 40}, {"b", 30}, {"c", 20}, {"d", 10}});
  for (WorldManifest& manifest : world.manifests) {
    manifest.bytes = 0;
    manifest.blobs = {"base", manifest.name};
    world.blobs[manifest.name] = {100, false};
  }
  world.blobs["base"] = {1000, true};
  struct Row {
    int budget;
    std::string keep;
    std::string also;
    std::string gone;
  };
  const std::vector<Row> table{
      {1400, "", "", ""},
      {1399, "", "", "a"},
      {1300, "", "", "a"},
      {1299, "", "", "a b"},
      {1299, "{tags: [a]}", "", "b c"},
      {1299, "", ", {tags: [d]}", "a d"},
      {1, "", "", "a b c d"},
      {1, "{newest_pushed: 2}", "", "a b"},
  };
  for (const Row& row : table) {
    INFO(row.budget << " " << row.keep << row.also);
    CHECK(Plan(world, rules(row.keep, "{size_budget: " + std::to_string(row.budget) + "}" + row.also))
              .expired() == row.gone);
  }
  // Filters narrow what may go, not what counts.
  CHECK(Plan(world, rules("", "{tags: [\"b\", \"c\"], older_than: 5d, size_budget: 1}")).expired() == "b c");
  // What may not go is reported when its turn comes.
  world.manifests[0].blocker = in_use;
  const Plan blocked(world, rules("", "{size_budget: 1300}"));
  CHECK(blocked.blocked() == "a");
  CHECK(blocked.expired() == "b");
  // keep_last has the last word.
  const Plan last(
      world, "lifecycle_rules: [{name: ci, expire: [{tags: [b, c, d], size_budget: 1}, {tags: [a]}]}]\n");
  CHECK(last.expired() == "b c d");
  world.manifests[0].blocker.reset();
  CHECK(Plan(world, "lifecycle_rules: [{name: ci, expire: [{size_budget: 1}]}]\n").blocked() == "d");
  // Equally old: the earlier name first.
  World ties = world_of({{"x", 5}, {"y", 5}});
  CHECK(Plan(ties, rules("", "{size_budget: 1}")).expired() == "x");
}

TEST_CASE("judge: bytes are counted once, and only those that nothing else needs") {
  World world = world_of({{"a", 40}, {"b", 30}, {"c", 20}});
  world.blobs = {
      {"ab", {10, false}}, {"abc", {100, false}}, {"own", {1000, false}}, {"mounted", {10000, true}}};
  world.manifests[0].blobs = {"ab", "abc", "own", "mounted", "own"};
  world.manifests[1].blobs = {"ab", "abc"};
  world.manifests[2].blobs = {"abc"};
  const Plan plan(world, rules("", "{tags: [a, b]}"));
  CHECK(plan.item("a").frees_bytes == 1011);
  CHECK(plan.item("b").frees_bytes == 1);
  CHECK(plan.judgement().bytes_freed == 1012);
  CHECK(plan.judgement().manifests == 3);
  CHECK(plan.judgement().manifests_expiring == 2);
  CHECK(plan.judgement().items_expiring == 2);
}

TEST_CASE("judge: more of the manifests than max_fraction is said") {
  World world;
  for (int i = 0; i < 100; ++i) world.image((i < 29 ? "pr-" : "r-") + std::to_string(i));
  const auto exceeds = [&](const std::string& fraction) {
    return Plan(world, "lifecycle: {max_fraction: " + fraction +
                           "}\nlifecycle_rules: [{name: a, expire: [{tags: [\"pr-*\"]}]}]\n")
        .judgement()
        .exceeds_fraction;
  };
  CHECK_FALSE(exceeds("0.5"));
  CHECK_FALSE(exceeds("0.29"));
  CHECK(exceeds("0.28"));
  CHECK(exceeds("0.289999"));
  CHECK_FALSE(exceeds("1"));
}

}  // namespace
}  // namespace stele::policy
