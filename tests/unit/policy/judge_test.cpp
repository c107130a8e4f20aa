#include "policy/judge.hpp"

#include <algorithm>
#include <chrono>
#include <stdexcept>

#include "tests/support/catch.hpp"
#include "tests/unit/policy/lifecycle_text.hpp"
#include "tests/unit/policy/lifecycle_world.hpp"

namespace stele::policy {
namespace {

// A plan that can be asked by names; an untagged manifest's is "@name".
class Plan {
 public:
  Plan(const World& world, const std::string& policy) : world_(world) {
    const LifecycleText read(policy);
    INFO(read.problems());
    REQUIRE(read.good());
    plan_ = judge(*read.compiled(), world.snapshot());
  }

  const Judgement& judgement() const { return plan_; }
  const PlanItem& item(const std::string& name) const {
    const auto found = std::find_if(plan_.items.begin(), plan_.items.end(),
                                    [&](const PlanItem& each) { return name_of(each) == name; });
    if (found == plan_.items.end()) throw std::logic_error("no item " + name);
    return *found;
  }
  std::string verdict(const std::string& name) const { return std::string(to_string(item(name).verdict)); }
  std::string reason(const std::string& name) const { return plan_.reason_of(item(name)); }
  std::string rule(const std::string& name) const { return std::string(plan_.rule_of(item(name))); }
  std::string leader(const std::string& name) const {
    const RowIndex leader = item(name).leader;
    return leader == no_row ? "" : name_of(plan_.items[static_cast<std::size_t>(leader)]);
  }
  // "a b @c", in the order of the plan.
  std::string with(Verdict verdict) const {
    std::string names;
    for (const PlanItem& each : plan_.items) {
      if (each.verdict == verdict) names += (names.empty() ? "" : " ") + name_of(each);
    }
    return names;
  }
  std::string expired() const { return with(Verdict::expire); }
  std::string blocked() const { return with(Verdict::blocked); }
  std::string kept() const { return with(Verdict::keep); }
  // The manifests that go, in the order in which they do: "b (pr-1)", the item in brackets.
  std::string going() const {
    std::string names;
    for (const Removal& removal : plan_.removals)
      names += (names.empty() ? "" : ", ") +
               world_.manifests[static_cast<std::size_t>(removal.manifest)].name + " with " +
               name_of(plan_.items[static_cast<std::size_t>(removal.item)]);
    return names;
  }

 private:
  std::string name_of(const PlanItem& each) const {
    return each.tag == no_row ? "@" + world_.manifests[static_cast<std::size_t>(each.manifest)].name
                              : world_.tags[static_cast<std::size_t>(each.tag)].name;
  }
  const World& world_;
  Judgement plan_;
};

// One rule, with keep_last out of the way.
std::string rules(const std::string& keep, const std::string& expire) {
  return "lifecycle: {keep_last: 0}\nlifecycle_rules:\n  - {name: ci, keep: [" + keep + "], expire: [" +
         expire + "]}\n";
}

const Blocker in_use{Blocker::Kind::in_use, "cluster prod"};

std::string signature_of(char digit, const std::string& suffix = ".sig") {
  return "sha256-" + std::string(64, digit) + suffix;
}

World world_of(const std::vector<std::pair<std::string, int>>& images) {
  World world;
  for (const auto& [name, age] : images) world.image(name, days_ago(age));
  return world;
}

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

TEST_CASE("judge: an age that is exactly the limit counts on both sides, and keep beats expire") {
  for (const auto& [more, expired] : std::vector<std::pair<int, std::string>>{{-1, ""}, {0, "a"}, {1, "a"}}) {
    World world;
    world.image("a", days_ago(14, more));
    CHECK(Plan(world, rules("", "{tags: [a], older_than: 14d}")).expired() == expired);
    const Plan both(world, rules("{pushed_within: 14d}", "{tags: [a], older_than: 14d}"));
    CHECK(both.expired() == (more > 0 ? "a" : ""));
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

TEST_CASE("judge: what stays keeps its entries and its referrers, all the way down (I5)") {
  World world;
  world.image("latest").entries = {"inner"};
  world.manifest("inner").entries = {"leaf"};
  world.manifest("leaf");
  world.manifest("sbom").subject = "leaf";
  world.manifest("signature-of-sbom").subject = "sbom";
  world.manifest("alone");
  const Plan plan(world, rules("{tags: [latest]}", "{untagged: true}"));
  CHECK(plan.expired() == "@alone");
  CHECK(plan.reason("@inner") == "entry of index latest, which stays");
  CHECK(plan.reason("@leaf") == "entry of an untagged index, which stays");
  CHECK(plan.reason("@sbom") == "its subject, an untagged manifest, stays");
  CHECK(plan.verdict("@signature-of-sbom") == "KEEP");
}

TEST_CASE("judge: a kept referrer does not keep its subject") {
  World world;
  world.image("subject");
  WorldManifest& referrer = world.image("referrer");
  referrer.subject = "subject";
  const Plan plan(world, rules("{tags: [referrer]}", "{everything_else: true}"));
  CHECK(plan.expired() == "subject");
  CHECK(plan.going() == "subject with subject");
}

TEST_CASE("judge: with the tag goes its manifest, with that what hangs from it and has no tag that stays") {
  World world;
  world.image("pr-1").entries = {"amd64", "arm64", "shared", "tagged"};
  world.image("latest").entries = {"shared"};
  world.manifest("amd64");
  world.manifest("arm64");
  world.manifest("shared");
  world.image("tagged");
  world.manifest("sbom").subject = "pr-1";
  const Plan plan(world, rules("", "{tags: [\"pr-*\"]}"));
  CHECK(plan.expired() == "pr-1 @amd64 @arm64 @sbom");
  CHECK(plan.going() == "pr-1 with pr-1, amd64 with @amd64, arm64 with @arm64, sbom with @sbom");
  CHECK(plan.leader("pr-1") == "pr-1");
  CHECK(plan.leader("@amd64") == "pr-1");
  CHECK(plan.rule("@amd64") == "ci");
  CHECK(plan.reason("@amd64") == "goes with tag pr-1: an index that lists it goes");
  CHECK(plan.reason("@sbom") == "goes with tag pr-1: its subject goes");
  CHECK(plan.kept() == "latest tagged @shared");
}

TEST_CASE("judge: an untagged manifest that stays because no rule hits it keeps what it lists (I5)") {
  World world;
  world.manifest("index").entries = {"child"};
  world.image("child");
  const Plan plan(world, rules("", "{tags: [child]}"));
  CHECK(plan.expired() == "child");
  CHECK(plan.going().empty());
  CHECK(
      plan.reason("child") ==
      "expire entry 1 of rule ci (tags child) hits it; its manifest stays: entry of an untagged index, which "
      "stays");
}

TEST_CASE("judge: an untagged child that an entry hits too goes with its index, not by itself") {
  World world;
  world.manifest("child");
  world.manifest("index").entries = {"child"};
  const Plan plan(world, rules("", "{untagged: true}"));
  CHECK(plan.leader("@child") == "@index");
  CHECK(plan.leader("@index") == "@index");
  CHECK(plan.reason("@child") == "goes with an untagged manifest: an index that lists it goes");
}

TEST_CASE("judge: a referrer whose subject is absent is judged as an untagged manifest") {
  World world;
  world.manifest("referrer").subject = "?";
  const Plan plan(world, rules("", "{untagged: true, older_than: 7d}"));
  CHECK(plan.expired() == "@referrer");
  CHECK(plan.reason("@referrer").ends_with("hits it; its subject is not in the repository"));
  CHECK(Plan(world, rules("", "{tags: [\"*\"]}")).expired().empty());
}

TEST_CASE("judge: signatures share the fate of the digest that they name") {
  World world = world_of({{"kept", 90}, {"gone", 90}});
  for (const char* name : {"s1", "s2", "s3", "s4"}) world.manifest(name);
  world.tag(signature_of('1'), "s1").signs = "kept";
  world.tag(signature_of('2'), "s2").signs = "gone";
  world.tag(signature_of('3'), "s3").signs = "?";
  world.tag(signature_of('4'), "s4", days_ago(1)).signs = "s2";  // signed itself
  const Plan plan(world, rules("{tags: [kept]}", "{tags: [\"*\"]}"));
  CHECK(plan.kept() == "kept " + signature_of('1'));
  CHECK(plan.leader(signature_of('2')) == "gone");
  CHECK(plan.leader(signature_of('4')) == "gone");
  CHECK(plan.leader(signature_of('3')) == signature_of('3'));
  CHECK(plan.reason(signature_of('1')) == "a signature stays as long as what it signs: manifest kept");
  CHECK(plan.reason(signature_of('2')) == "goes with tag gone: what it signs goes");
  // Entries that name signatures do not judge those of a digest that is here.
  CHECK(Plan(world, rules("", "{tags: [\"@signature\"]}")).expired() == signature_of('3'));
  CHECK(Plan(world, rules("{tags: [\"@signature\"]}", "{everything_else: true}")).kept() ==
        signature_of('3'));
  // Nor does an entry without tags remove one whose digest is absent; everything_else does.
  CHECK(Plan(world, rules("", "{older_than: 7d}")).verdict(signature_of('3')) == "KEEP");
  CHECK(Plan(world, rules("", "{everything_else: true}")).verdict(signature_of('3')) == "EXPIRE");
  // A protected one stays, and its subject goes all the same.
  world.tags[3].blocker = Blocker{Blocker::Kind::tag_rule, "signatures"};
  const Plan blocked(world, rules("", "{tags: [gone]}"));
  CHECK(blocked.blocked() == signature_of('2'));
  CHECK(blocked.expired() == "gone");
  CHECK(blocked.reason(signature_of('2')) ==
        "what it signs goes, but tag rule signatures protects it; lifecycle: allow in that rule lets it go");
}

TEST_CASE("judge: of two tags on one digest one goes, and the manifest stays until the last") {
  World world = world_of({{"a", 90}});
  world.tag("b", "a", days_ago(90));
  const Plan one(world, rules("", "{tags: [a]}"));
  CHECK(one.expired() == "a");
  CHECK(one.going().empty());
  CHECK(one.judgement().bytes_freed == 0);
  const Plan both(world, rules("", "{tags: [\"*\"]}"));
  CHECK(both.going() == "a with b");
  CHECK(both.item("a").frees_bytes == 1);
  CHECK(both.item("b").frees_bytes == 0);
}

TEST_CASE("judge: BLOCKED names what blocks and the next step (I5)") {
  struct Row {
    Blocker blocker;
    bool on_tag;
    std::string said;
  };
  const std::vector<Row> table{
      {{Blocker::Kind::tag_rule, "releases"},
       true,
       "tag rule releases protects it; lifecycle: allow in that rule lets it go"},
      {{Blocker::Kind::lock, "until 2033-01-01 (compliance)"},
       true,
       "it is locked until 2033-01-01 (compliance); it can go once the lock has ended"},
      {{Blocker::Kind::lock, "until 2033-01-01 (compliance)"},
       false,
       "it is locked until 2033-01-01 (compliance); it can go once the lock has ended"},
      {{Blocker::Kind::hold, "case-7"}, false, "hold case-7 is on it; it can go once the hold is released"},
      {in_use, false, "it is in use by cluster prod; it can go once nothing there runs it"},
  };
  for (const Row& row : table) {
    World world = world_of({{"a", 90}});
    (row.on_tag ? world.tags[0].blocker : world.manifests[0].blocker) = row.blocker;
    const Plan plan(world, rules("", "{older_than: 7d}"));
    CHECK(plan.blocked() == "a");
    CHECK(plan.rule("a") == "ci");
    CHECK(plan.reason("a") == "expire entry 1 of rule ci (older_than 7d) would remove it, but " + row.said);
    CHECK(plan.judgement().items_blocked == 1);
    CHECK(Plan(world, rules("{tags: [a]}", "{older_than: 7d}")).kept() == "a");
    CHECK(Plan(world, rules("", "{tags: [b]}")).kept() == "a");
  }
  World untagged;
  untagged.manifest("u").blocker = in_use;
  CHECK(Plan(untagged, rules("", "{untagged: true}")).blocked() == "@u");
}

TEST_CASE("judge: what blocks a child or a referrer keeps what lists it or is its subject (I5)") {
  World world;
  world.image("outer").entries = {"index"};
  world.image("index").entries = {"amd64", "arm64"};
  world.manifest("amd64").blocker = in_use;
  world.manifest("arm64");
  world.image("subject");
  world.manifest("referrer").subject = "subject";
  world.manifests.back().blocker = Blocker{Blocker::Kind::hold, "case-7"};
  world.image("signed");
  world.manifest("signature").blocker = in_use;
  world.tag(signature_of('1'), "signature").signs = "signed";
  world.image("free");
  const Plan plan(world, rules("", "{everything_else: true}"));
  CHECK(plan.expired() == "free");
  CHECK(plan.blocked() == "index outer signed subject @amd64 @referrer");
  CHECK(plan.kept() == signature_of('1') + " @arm64");
  CHECK(plan.reason("outer") ==
        "expire entry 1 of rule ci (everything_else) would remove it, but an entry or referrer of it may not "
        "go: it "
        "is in use by cluster prod; it can go once nothing there runs it");
}

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

TEST_CASE("judge: chains of a hundred thousand neither overflow the stack nor take long (I10)") {
  constexpr std::size_t length = 100'000;
  const auto start = std::chrono::steady_clock::now();
  const LifecycleText read(
      rules("", "{not_pulled_for: 30d}, {larger_than: 1GiB}, {untagged: true, larger_than: 99000}"));
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
  const auto took = std::chrono::steady_clock::now() - start;
  CHECK(took < std::chrono::seconds(60));
}

}  // namespace
}  // namespace stele::policy
