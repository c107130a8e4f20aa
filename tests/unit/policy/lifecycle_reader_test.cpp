#include "policy/lifecycle_reader.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/policy/lifecycle_text.hpp"

namespace stele::policy {
namespace {

TEST_CASE("lifecycle: the example of the guide is read as it is meant") {
  const LifecycleText read(R"(lifecycle:
  schedule: "0 3 * * *"
  windows: ["22:00-05:00", "sat,sun 00:00-24:00"]
  trash_for: 7d
  max_fraction: 0.25
  max_count: 500
  keep_last: 3
  ignore_pulls_by: ["robot:scanner-*"]
lifecycle_rules:
  - name: ci
    repositories: ["ci/**"]
    keep:
      - {tags: [latest, "@semver", "@sha"]}
      - {tags: ["*"], newest_pushed: 20}
      - {newest_semver: 5}
      - {also_tagged: live}
      - {tags: ["build-*"], also_tagged: [stable, "v*"]}
      - {untagged: true, newest_pushed: 3}
      - {pulled_within: 30d}
      - {tags: ["*"], newest_pulled: 2, pushed_within: 1w}
    expire:
      - {tags: ["pr-*"], older_than: 14d}
      - {tags: ["*"], not_pulled_for: 180d, artifact_type: "application/**"}
      - {untagged: true, older_than: 7d, artifact_type: [a, "!b"], label: {team: x, stage: [a, b]}}
      - {larger_than: 2GiB, size_budget: 50GiB}
      - {everything_else: true}
)");
  INFO(read.problems());
  REQUIRE(read.good());
  CHECK(read.warnings().empty());
  const LifecycleSettings& settings = read.settings();
  REQUIRE(settings.schedule.has_value());
  CHECK(settings.schedule->text() == "0 3 * * *");
  CHECK(settings.windows.size() == 2);
  CHECK(settings.trash_for == 7 * 24 * 3600);
  CHECK(settings.max_fraction == 0.25);
  CHECK(settings.max_count == 500);
  CHECK(settings.keep_last == 3);
  CHECK(settings.ignore_pulls_by == std::vector<std::string>{"robot:scanner-*"});
  REQUIRE(read.rules().size() == 1);
  const LifecycleRule& rule = read.rules().front();
  CHECK(rule.name == "ci");
  CHECK(rule.repositories == std::vector<std::string>{"ci/**"});
  std::vector<std::string> described;
  for (const auto& entry : rule.keep) described.push_back("keep " + describe(entry));
  for (const auto& entry : rule.expire) described.push_back("expire " + describe(entry));
  CHECK(described ==
        std::vector<std::string>{
            "keep tags latest @semver @sha", "keep tags *, newest_pushed 20", "keep newest_semver 5",
            "keep also_tagged live", "keep tags build-*, also_tagged stable v*",
            "keep untagged, newest_pushed 3", "keep pulled_within 30d",
            "keep tags *, pushed_within 7d, newest_pulled 2", "expire tags pr-*, older_than 14d",
            "expire tags *, artifact_type application/**, not_pulled_for 180d",
            "expire untagged, artifact_type a !b, label team: x, label stage: a b, older_than 7d",
            "expire larger_than 2GiB, size_budget 50GiB", "expire everything_else"});
  const auto lifecycle = read.compiled();
  CHECK(lifecycle->ignores_pulls_by("robot:scanner-7"));
  CHECK_FALSE(lifecycle->ignores_pulls_by("robot:deploy"));
  CHECK(lifecycle->rules_for("ci/app").size() == 1);
  CHECK(lifecycle->rules_for("prod/app").empty());
  CHECK(needs_of(lifecycle->rules_for("ci/app")).labels);
  CHECK(needs_of(lifecycle->rules_for("ci/app")).any_expire);
  CHECK_FALSE(needs_of(lifecycle->rules_for("prod/app")).any_expire);
}

TEST_CASE("lifecycle: what is absent has its default") {
  const LifecycleText read("lifecycle_rules: [{name: a, expire: [{untagged: true}]}]\n");
  REQUIRE(read.good());
  const LifecycleSettings& settings = read.settings();
  CHECK_FALSE(settings.schedule.has_value());
  CHECK(settings.windows.empty());
  CHECK(settings.trash_for == 14 * 24 * 3600);
  CHECK(settings.max_fraction == 0.5);
  CHECK(settings.max_count == 10'000);
  CHECK(settings.keep_last == 1);
  CHECK_FALSE(read.compiled()->ignores_pulls_by("anybody"));
  CHECK(read.rules().front().repositories == std::vector<std::string>{"**"});
  CHECK(LifecycleText("lifecycle: {ignore_pulls_by: [], keep_last: 0, max_fraction: 1}\n").good());
}

TEST_CASE("lifecycle: the longest and the shortest time are taken, and ages that meet are no contradiction") {
  const LifecycleText read(
      "lifecycle_rules: [{name: a, expire: [{older_than: 100y, not_pulled_for: 36500d}, {older_than: 1s}, "
      "{older_than: 7d, pushed_within: 30d}, {older_than: 7d, pushed_within: 1w}]}]\n");
  INFO(read.problems());
  REQUIRE(read.good());
  constexpr std::int64_t century = 100LL * 365 * 24 * 3600;
  CHECK(read.rules().front().expire.at(0).older_than == century);
  CHECK(read.rules().front().expire.at(0).not_pulled_for == century);
  CHECK(read.rules().front().expire.at(1).older_than == 1);
}

struct WrongText {
  std::string text;
  std::string said;
};

std::string with_rule(const std::string& rest) {
  return "lifecycle_rules:\n  - {name: a, " + rest + "}\n";
}
std::string with_keep(const std::string& entry) {
  return with_rule("keep: [" + entry + "]");
}
std::string with_expire(const std::string& entry) {
  return with_rule("expire: [" + entry + "]");
}

const std::vector<WrongText> wrong_texts{
    {"lifecycle: []\n", "p.yaml:1:12: lifecycle must be a mapping"},
    {"lifecycle: {shedule: \"0 3 * * *\"}\n",
     "p.yaml:1:13: unknown key \"shedule\" in lifecycle; did you mean \"schedule\"?"},
    {"lifecycle: {schedule: daily}\n", "p.yaml:1:23: \"daily\" is no schedule"},
    {"lifecycle: {schedule: \"0 0 31 2 *\"}\n", "never comes"},
    {"lifecycle: {schedule: [a]}\n", "schedule must be a single value"},
    {"lifecycle: {windows: \"22:00-05:00\"}\n", "windows must be a list"},
    {"lifecycle: {windows: []}\n", "leave it out to allow any time"},
    {"lifecycle: {windows: [\"22-05\"]}\n", "p.yaml:1:23: \"22-05\" is no window"},
    {"lifecycle: {trash_for: 0d}\n", "trash_for must be a time such as 90d"},
    {"lifecycle: {trash_for: forever}\n", "trash_for must be a time such as 90d"},
    {"lifecycle: {max_fraction: 0}\n", "max_fraction must be"},
    {"lifecycle: {max_fraction: 1.5}\n", "not \"1.5\""},
    {"lifecycle: {max_fraction: 50%}\n", "not \"50%\""},
    {"lifecycle: {max_fraction: -0.5}\n", "max_fraction must be"},
    {"lifecycle: {max_fraction: nan}\n", "max_fraction must be"},
    {"lifecycle: {max_fraction: 1e-3}\n", "max_fraction must be"},
    {"lifecycle: {max_count: 0}\n", "max_count must be a whole number from 1"},
    {"lifecycle: {keep_last: -1}\n", "keep_last must be a whole number from 0"},
    {"lifecycle: {keep_last: 1.5}\n", "not \"1.5\""},
    {"lifecycle: {ignore_pulls_by: scanner}\n", "ignore_pulls_by must be a list of patterns"},
    {"lifecycle_rules: {}\n", "lifecycle_rules must be a list of rules, not a mapping"},
    {"lifecycle_rules: [x]\n", "p.yaml:1:19: a rule must be a mapping such as"},
    {"lifecycle_rules: [{expire: [{untagged: true}]}]\n", "lacks its name"},
    {with_rule("kep: [{newest_semver: 1}]"), "did you mean \"keep\"?"},
    {with_rule("repositories: [a]"), "p.yaml:2:5: rule a has neither keep nor expire"},
    {with_rule("keep: [], expire: []"), "has neither keep nor expire"},
    {with_rule("repositories: [\"/(/\"], expire: [{untagged: true}]"), "pattern \"/(/\""},
    {with_rule("keep: {newest_semver: 1}"), "keep must be a list of entries"},
    {with_rule("expire: all"), "expire must be a list of entries"},
    {with_expire("x"), "an entry of expire must be a mapping"},
    {with_expire("{}"), "an entry of expire selects nothing by itself; write {everything_else: true}"},
    {with_keep("{}"), "{tags: [\"*\"]} for every tag"},
    {with_keep("{tag: [a]}"), "p.yaml:2:23: unknown key \"tag\" in an entry of keep; did you mean \"tags\"?"},
    {with_expire("{oldr_than: 3d}"), "did you mean \"older_than\"?"},
    {with_keep("{older_than: 3d}"), "older_than belongs in expire; to keep what is new, write pushed_within"},
    {with_keep("{not_pulled_for: 3d}"), "write pulled_within"},
    {with_keep("{untagged: true, newest_semver: 3}"), "untagged cannot stand beside newest_semver"},
    {with_expire("{untagged: true, also_tagged: [a]}"), "untagged cannot stand beside also_tagged"},
    {with_expire("{also_tagged: [\"!live\"]}"),
     "a keep entry with also_tagged: \"live\" keeps those that have it"},
    {with_keep("{everything_else: true}"), "everything_else belongs in expire"},
    {with_keep("{size_budget: 3GiB}"), "size_budget belongs in expire"},
    {with_expire("{newest_pushed: 3}"), "newest_pushed belongs in keep"},
    {with_expire("{newest_pulled: 3}"), "newest_pulled belongs in keep"},
    {with_expire("{newest_semver: 3}"), "newest_semver belongs in keep"},
    {with_expire("{everything_else: true, tags: [a]}"),
     "p.yaml:2:48: tags cannot stand beside everything_else"},
    {with_expire("{everything_else: true, untagged: true}"), "untagged cannot stand beside everything_else"},
    {with_expire("{everything_else: true, larger_than: 1GiB}"),
     "larger_than cannot stand beside everything_else"},
    {with_expire("{everything_else: true, pushed_within: 1d}"), "pushed_within cannot stand beside"},
    {with_expire("{untagged: true, tags: [a]}"), "untagged cannot stand beside tags"},
    {with_expire("{untagged: true, size_budget: 1GiB}"), "cannot stand beside untagged"},
    {with_expire("{untagged: false}"), "untagged is written untagged: true, or left out"},
    {with_expire("{everything_else: yes}"), "everything_else is written everything_else: true"},
    {with_expire("{older_than: 14}"), "older_than must be a time such as 90d"},
    {with_expire("{older_than: 0d}"), "older_than must be a time"},
    {with_expire("{older_than: 101y}"), "at most 100y"},
    // Each of these was read as no age at all by somebody, and everything went.
    {with_expire("{older_than: 999999d}"), "p.yaml:2:37: older_than must be a time such as 90d"},
    {with_expire("{older_than: 300000d}"), "p.yaml:2:37: older_than must be a time"},
    {with_expire("{older_than: 18446744073709551617s}"), "p.yaml:2:37: older_than must be a time"},
    {with_expire("{not_pulled_for: -1d}"), "p.yaml:2:41: not_pulled_for must be a time"},
    {with_expire("{older_than: 0d}"), "p.yaml:2:37: older_than must be a time"},
    {with_expire("{older_than: 1.5d}"), "p.yaml:2:37: older_than must be a time"},
    {with_expire("{older_than: 1e9d}"), "p.yaml:2:37: older_than must be a time"},
    {with_keep("{pushed_within: 0s}"), "p.yaml:2:38: pushed_within must be a time"},
    {with_keep("{pulled_within: 999999d}"), "p.yaml:2:38: pulled_within must be a time"},
    {"lifecycle: {trash_for: 999999d}\n", "p.yaml:1:24: trash_for must be a time"},
    // Nothing is both.
    {with_expire("{older_than: 30d, pushed_within: 7d}"),
     "p.yaml:2:24: older_than 30d and pushed_within 7d exclude each other"},
    {with_expire("{not_pulled_for: 30d, pulled_within: 29d}"),
     "not_pulled_for 30d and pulled_within 29d exclude each other"},
    {with_expire("{not_pulled_for: 30d, pushed_within: 7d}"),
     "not_pulled_for 30d and pushed_within 7d exclude each other"},
    {with_keep("{newest_semver: 0}"), "newest_semver must be a whole number from 1"},
    {with_keep("{newest_pushed: many}"), "not \"many\""},
    {with_keep("{newest_pulled: [3]}"), "newest_pulled must be a whole number"},
    {with_keep("{larger_than: 3GB}"), "larger_than must be a number of bytes above 0"},
    {with_expire("{size_budget: 0}"), "size_budget must be a number of bytes above 0"},
    {with_keep("{tags: []}"), "tags names nothing that it matches"},
    {with_keep("{tags: \"*\"}"), "tags must be a list of patterns"},
    {with_keep("{tags: [\"@semvr\"]}"), "there is no such preset"},
    {with_keep("{artifact_type: \"/(/\"}"), "pattern \"/(/\""},
    {with_keep("{artifact_type: {a: b}}"), "artifact_type must be a list of patterns"},
    {with_keep("{artifact_type: \"!a\"}"), "artifact_type names nothing that it matches"},
    {with_keep("{label: x}"), "label must be a mapping of keys to patterns"},
    {with_keep("{label: {}}"), "label must be a mapping of keys to patterns"},
    {with_keep("{label: {a: \"{\"}}"), "'{' without '}'"},
    {"lifecycle_rules: [{name: a, keep: [{newest_semver: 1}]}, {name: a, keep: [{newest_semver: 1}]}]\n",
     "rule a already stands in line 1"},
};

TEST_CASE("lifecycle: what is wrong is said with its place, the reason and the next step (I8)") {
  for (const WrongText& row : wrong_texts) {
    const LifecycleText read(row.text);
    INFO(row.text << "\n" << read.problems());
    CHECK_FALSE(read.good());
    CHECK(read.problems().find(row.said) != std::string::npos);
  }
}

TEST_CASE("lifecycle: what does nothing, or more than somebody may think, is pointed out") {
  const auto warned = [](const std::string& text, const std::string& said) {
    const LifecycleText read(text);
    INFO(text << "\n" << read.problems() << read.warnings());
    REQUIRE(read.good());
    CHECK((said.empty() ? read.warnings().empty() : read.warnings().find(said) != std::string::npos));
  };
  warned(
      "lifecycle: {trash_for: 0}\nlifecycle_rules: [{name: a, expire: [{untagged: true, older_than: 1d}]}]\n",
      "p.yaml:1:24: trash_for is 0: what a run removes is erased at once");
  CHECK(LifecycleText("lifecycle: {trash_for: 0}\n").settings().trash_for == 0);
  warned("lifecycle: {trash_for: 7d}\n",
         "p.yaml:1:1: lifecycle is set up, but without lifecycle_rules nothing");
  warned("lifecycle_rules: [{name: a, keep: [{newest_semver: 3}]}]\n", "nothing is ever removed");
  warned(
      "lifecycle_rules: [{name: a, repositories: [\"ci/**\"], keep: [{newest_semver: 3}]}, "
      "{name: b, repositories: [\"prod/**\"], expire: [{untagged: true}]}]\n",
      "p.yaml:1:19: rule a keeps nothing from anything");
  warned(
      "lifecycle_rules: [{name: a, repositories: [\"ci/**\"], keep: [{newest_semver: 3}]}, "
      "{name: b, repositories: [\"ci/x\"], expire: [{untagged: true}]}]\n",
      "");
  warned(
      "lifecycle_rules: [{name: a, repositories: [\"/^ci/\"], keep: [{newest_semver: 3}]}, "
      "{name: b, repositories: [\"prod/**\"], expire: [{untagged: true}]}]\n",
      "");
  const auto newest = [](const std::string& keep) {
    return "lifecycle_rules: [{name: a, keep: [" + keep + "], expire: [{untagged: true, older_than: 7d}]}]\n";
  };
  warned(newest("{newest_pushed: 5}"), "manifests without one are not kept by that and go");  // L21
  warned(newest("{newest_pushed: 5}, {untagged: true, newest_pushed: 5}"), "");
  warned(newest("{tags: [\"*\"], newest_pushed: 5}"), "");
  warned("lifecycle_rules: [{name: a, expire: [{everything_else: true}]}]\n", "and there is none");
  warned("lifecycle_rules: [{name: a, expire: [{everything_else: true, older_than: 90d}]}]\n", "");
  warned("lifecycle_rules: [{name: a, expire: [{pulled_within: 3d}]}]\n",
         "write older_than or not_pulled_for");
}

TEST_CASE("lifecycle: any bytes are taken (I10)") {
  for (const std::string text :
       {"lifecycle:\n", "lifecycle_rules:\n", "lifecycle: {schedule: }\n", "lifecycle_rules: [{}]\n",
        "lifecycle_rules: [{name: a, keep: , expire: }]\n",
        "lifecycle_rules: [{name: a, expire: [{label: {? : }}]}]\n",
        "lifecycle_rules: [{name: a, expire: [{tags: [[[]]], older_than: {}}]}]\n"})
    CHECK_NOTHROW(LifecycleText(text));
}

}  // namespace
}  // namespace stele::policy
