#include "policy/rules.hpp"

#include <fstream>
#include <set>
#include <sstream>

#include "policy/lifecycle_rules.hpp"
#include "policy/load.hpp"
#include "tests/support/catch.hpp"

namespace stele::policy {
namespace {

std::string rule_of(const Policy& policy, const std::string& repository, const std::string& tag) {
  return policy.tag_rule(repository, tag).rule->name;
}

TEST_CASE("policy: the built-in rules bind what build tools mean to be fixed") {
  const auto policy = Policy::built_in();
  const std::string hex(64, 'a');
  const std::string commit = hex.substr(0, 40);
  const auto decides = [&](const std::string& rule, const std::vector<std::string>& tags) {
    for (const std::string& tag : tags) {
      INFO(tag);
      CHECK(rule_of(*policy, "prod/app", tag) == rule);
    }
  };
  decides("releases",
          {"1.4.2", "v1.4.2", "1.4.2-rc.1", "1.4.2-alpine", "sha-a1b2c3d", "sha-" + hex, "10.20.30",
           "prod-sha-a1b2c3d", "109.0.1_up1.0.2", "1.4.2-rc.1_b7", "1.1.196.439", commit, hex, "v1-" + commit,
           "1.5.0-dev.3", "1.5.0-nightly.20261128", "1.4.2-develop"});
  decides("snapshots",
          {"1.5.0-SNAPSHOT", "1.5-SNAPSHOT", "v0.2.0-dev", "1.4.2-nightly", "1.4.2-3-ga1b2c3d-dirty",
           "1.4.2_dirty", "1.4.3-SNAPSHOT-a1b2c3d", "1.5.0-rc.1-SNAPSHOT"});
  decides("default",
          {"prod-sha-a1b2c3", "latest", "main", "1.4", "1", "v1", "pr-12", "sha-xyz", "sha-a1b2", "1.4.2.3.4",
           "nightly", commit.substr(1), commit + "a", commit + "-amd64", "v1-" + hex, "1.4.2_"});
  const std::string cut_to_tag = "sha512-" + hex + hex.substr(0, 57);
  REQUIRE(cut_to_tag.size() == 128);
  decides("signatures", {"sha256-" + hex, "sha256-" + hex + ".sig", "sha256-" + hex + ".att",
                         "sha256-" + hex + ".sbom", "sha512-" + hex, "sha512-" + hex + ".sig", cut_to_tag});
  decides("default", {"sha256-" + hex + ".other", "sha512-" + hex.substr(1), "sha256-" + hex.substr(1)});
  const TagRule& bound = *policy->tag_rule("a", "1.2.3").rule;
  CHECK(bound.mutability == Mutability::immutable);
  CHECK_FALSE(bound.may_delete);
  CHECK(bound.lifecycle_protects);
}

TEST_CASE("policy: the manual's table of tags that build tools make says what the built-in rules say") {
  std::ifstream file("docs/policy.md");
  REQUIRE(file.good());
  const auto policy = Policy::built_in();
  std::set<std::string> tools;
  std::string line;
  while (std::getline(file, line) && line != "| tool | what it is | tag | rule | mutability |") {
  }
  while (std::getline(file, line) && line.starts_with('|')) {
    std::vector<std::string> cells;
    std::istringstream row(line.substr(1));
    for (std::string cell; std::getline(row, cell, '|');)
      cells.push_back(cell.substr(1, cell.size() < 2 ? 0 : cell.size() - 2));
    if (line.starts_with("|---")) continue;
    INFO(line);
    REQUIRE(cells.size() == 5);
    tools.insert(cells[0]);
    const TagRule& rule = *policy->tag_rule("any/app", cells[2].substr(1, cells[2].size() - 2)).rule;
    CHECK(rule.name == cells[3]);
    CHECK(to_string(rule.mutability) == cells[4]);
  }
  for (const char* tool : {"docker/metadata-action", "Jib", "Maven", "Gradle", "Helm", "GitLab CI", "ko",
                           "goreleaser", "kaniko", "buildx bake", "semantic-release"}) {
    INFO(tool);
    CHECK(tools.contains(tool));
  }
}

TEST_CASE("policy: the first rule that matches decides, and says through which pattern") {
  const auto loaded = load_policy(R"(version: 1
tag_rules:
  - {name: sandbox, repositories: ["sandbox/**", "!sandbox/keep"], tags: ["**"], mutability: mutable}
  - {name: prod, repositories: ["prod/**", "/^team-[a-z]+$/"], tags: ["@semver", "stable-*"], mutability: immutable, delete: allow}
  - {name: minor, tags: ["@semver-minor"], mutability: forward-only, forward_by: created}
default: {mutability: append-only}
)",
                                  "p.yaml");
  INFO(loaded.problems.to_string());
  REQUIRE(loaded.policy);
  const Policy& policy = *loaded.policy;
  CHECK(rule_of(policy, "sandbox/x", "1.2.3") == "sandbox");
  CHECK(rule_of(policy, "sandbox/keep", "1.2.3") == "default");
  CHECK(rule_of(policy, "team-a", "stable-1") == "prod");
  const Match match = policy.tag_rule("prod/a/b", "1.2.3");
  CHECK(match.rule->name == "prod");
  CHECK(match.repository_pattern == "prod/**");
  CHECK(match.tag_pattern == "@semver");
  CHECK(match.rule->may_delete);
  CHECK(policy.tag_rule("x", "1.4").rule->forward_by == ForwardBy::created);
  CHECK(policy.tag_rule("x", "y").rule->mutability == Mutability::append_only);
  CHECK_FALSE(policy.tag_rule("x", "y").rule->may_delete);
  CHECK(policy.hash().starts_with("sha256:"));
}

TEST_CASE("policy: rules that nearly decide say what is in their way") {
  const auto loaded = load_policy(R"(version: 1
tag_rules:
  - {name: sandbox, repositories: ["sandbox/**", "!sandbox/keep"], tags: ["**"], mutability: mutable}
  - {name: prod, repositories: ["prod/**"], tags: ["@semver", "!*-rc*"], mutability: immutable}
  - {name: pre, repositories: ["prod/**"], tags: ["*-rc*"], mutability: mutable}
  - {name: all, tags: ["@semver"], mutability: append-only}
)",
                                  "p.yaml");
  REQUIRE(loaded.policy);
  const auto near = [&](const char* repository, const char* tag) {
    std::string shown;
    for (const NearMiss& miss : loaded.policy->near_misses(repository, tag))
      shown += miss.rule->name + ": " + miss.why + "\n";
    return shown;
  };
  CHECK(near("prod/app", "1.4.2-rc1") ==
        "prod: tags: @semver matches, but !*-rc* excludes it\n"
        "all: matches too, but rule pre stands before it\n");
  CHECK(near("sandbox/keep", "latest") ==
        "sandbox: repositories: sandbox/** matches, but !sandbox/keep excludes it\n");
  CHECK(near("prods/app", "1.4.2") == "prod: tags: @semver matches, but none of its repositories does\n");
  CHECK(near("prod/app", "latest") ==
        "prod: repositories: prod/** matches, but none of its tags does\n"
        "pre: repositories: prod/** matches, but none of its tags does\n");
  CHECK(near("other", "latest").empty());
  CHECK(loaded.policy->near_misses("prod/app", "latest", 1).size() == 1);
}

TEST_CASE("policy: what is remembered of a repository is true of that repository only (I3)") {
  const std::string text =
      "version: 1\ntag_rules:\n"
      "  - {name: even, repositories: [\"r*0/**\", \"r*2\", \"!r12\"], tags: [\"v*\"], mutability: "
      "immutable}\n"
      "  - {name: odd, repositories: [\"/r[0-9]*[13]/\"], tags: [\"*\"], mutability: "
      "append-only}\n"
      "  - {name: few, repositories: [\"r1*\"], tags: [\"latest\"], mutability: forward-only}\n";
  const auto remembering = load_policy(text, "p.yaml").policy;
  REQUIRE(remembering);
  unsigned state = 1;
  for (int i = 0; i < 3000; ++i) {
    state = state * 1664525 + 1013904223;
    const std::string repository = "r" + std::to_string((state >> 8) % 700);
    const std::string tag = (state >> 4) % 3 == 0 ? "latest" : "v1";
    const Match remembered = remembering->tag_rule(repository, tag);
    const Match again = remembering->tag_rule(repository, tag);
    INFO(repository << ":" << tag);
    CHECK(again.rule == remembered.rule);
    if (i % 10 != 0) continue;
    const auto fresh = load_policy(text, "p.yaml").policy;
    const Match match = fresh->tag_rule(repository, tag);
    CHECK(match.rule->name == remembered.rule->name);
    CHECK(match.repository_pattern == remembered.repository_pattern);
    CHECK(match.tag_pattern == remembered.tag_pattern);
  }
}

TEST_CASE("policy: sections that are absent keep their default") {
  for (const char* text : {"version: 1\n", "version: 1\ndefault: {mutability: mutable}\n"}) {
    const auto loaded = load_policy(text, "p.yaml");
    REQUIRE(loaded.policy);
    CHECK(rule_of(*loaded.policy, "a", "1.2.3") == "releases");
  }
  const auto none = load_policy("version: 1\ntag_rules: []\n", "p.yaml");
  REQUIRE(none.policy);
  CHECK(rule_of(*none.policy, "a", "1.2.3") == "default");
}

TEST_CASE("policy: what is wrong is said with its place, the reason and the next step (I8)") {
  struct Row {
    std::string text;
    std::string said;
  };
  const std::string head = "version: 1\ntag_rules:\n  - ";
  const std::vector<Row> table{
      {"", "a policy is a mapping"},
      {"tag_rules: []\n", "version is missing"},
      {"version: 2\n", "p.yaml:1:10: version must be 1"},
      {"version: 1\ntag_rule: []\n",
       "p.yaml:2:1: unknown key \"tag_rule\" in a policy; did you mean \"tag_rules\"?"},
      {"version: 1\ntag_rules: {}\n", "tag_rules must be a list of rules, not a mapping"},
      {head + "x\n", "p.yaml:3:5: a rule must be a mapping"},
      {head + "{tags: [a], mutability: mutable}\n", "lacks its name"},
      {head + "{name: a, mutability: mutable}\n", "rule a lacks tags; to match all, write tags: [\"**\"]"},
      {head + "{name: a, tags: [a]}\n", "rule a lacks mutability"},
      {head + "{name: a, tags: [a], mutability: imutable}\n", "did you mean \"immutable\"?"},
      {head + "{name: a, tags: [\"@semvr\"], mutability: immutable}\n",
       "there is no such preset; known are @semver"},
      {head + "{name: a, tags: [\"!b\"], mutability: immutable}\n", "tags names nothing that it matches"},
      {head + "{name: a, tags: [], mutability: immutable}\n", "tags names nothing that it matches"},
      {head + "{name: a, tags: [\"/(/\"], mutability: immutable}\n", "p.yaml:3:22: pattern \"/(/\""},
      {head + "{name: a, tags: [a], mutability: immutable, delet: deny}\n", "did you mean \"delete\"?"},
      {head + "{name: a, tags: [a], mutability: immutable, delete: no}\n",
       "delete must be allow or deny, not \"no\""},
      {head + "{name: a, tags: [a], mutability: mutable, forward_by: version}\n",
       "forward_by goes with mutability: forward-only"},
      {head + "{name: a, tags: [a], mutability: forward-only, forward_by: size}\n",
       "must be version or created"},
      {head + "{name: default, tags: [a], mutability: mutable}\n", "choose another"},
      {head + "{name: a, tags: [a], mutability: mutable}\n  - {name: a, tags: [b], mutability: mutable}\n",
       "p.yaml:4:12: rule a already stands in line 3"},
      {head + "{name: a, tags: [a], mutability: immutable, lock: {for: 7y}}\n", "lock lacks its mode"},
      {head + "{name: a, tags: [a], mutability: immutable, lock: {mode: compliance}}\n",
       "lock lacks its time"},
      {head + "{name: a, tags: [a], mutability: immutable, lock: {for: 7, mode: compliance}}\n", "not \"7\""},
      {head + "{name: a, tags: [a], mutability: immutable, lock: {for: 101y, mode: compliance}}\n",
       "not \"101y\""},
      {head + "{name: a, tags: [a], mutability: immutable, lock: {for: -1d, mode: compliance}}\n",
       "not \"-1d\""},
      {head + "{name: a, tags: [a], mutability: immutable, lock: {for: 1d, mode: complience}}\n",
       "did you mean \"compliance\"?"},
      {"version: 1\npull_rules: [{name: p, principals: [a], repositories: [a], require: digest}]\n",
       "require must be pinned"},
      {"version: 1\npull_rules: [{name: p, repositories: [a], require: pinned}]\n", "lacks principals"},
      {"version: 1\npull_rules: [{name: p, principals: [a], require: pinned}]\n", "lacks repositories"},
      {"version: 1\nlifecycle: {trash_for: soon}\n", "p.yaml:2:24: trash_for must be a time such as 90d"},
      {"version: 1\nlifecycle_rules:\n  - {name: a, expire: [{newest_semver: 1}]}\n",
       "p.yaml:3:25: newest_semver belongs in keep"},
      {"version: 1\nlifecycle_rule: []\n", "did you mean \"lifecycle_rules\"?"},
      {"version: 1\ndefault: {tags: [a], mutability: mutable}\n", "unknown key \"tags\" in default"},
      {"version: [\n", "p.yaml:"},
  };
  for (const Row& row : table) {
    const auto loaded = load_policy(row.text, "p.yaml");
    INFO(row.text << "\n" << loaded.problems.to_string());
    CHECK_FALSE(loaded.policy);
    CHECK(loaded.problems.to_string().find(row.said) != std::string::npos);
  }
}

TEST_CASE("policy: the lifecycle sections come into force with it") {
  const auto loaded = load_policy(R"(version: 1
lifecycle: {keep_last: 3, ignore_pulls_by: ["robot:scanner-*"]}
lifecycle_rules:
  - {name: ci, repositories: ["ci/**"], expire: [{tags: ["pr-*"], older_than: 14d}]}
  - {name: idle, repositories: ["prod/**"], keep: [{newest_semver: 1}]}
)",
                                  "p.yaml");
  INFO(loaded.problems.to_string());
  REQUIRE(loaded.policy);
  const Lifecycle& lifecycle = *loaded.policy->lifecycle();
  CHECK(lifecycle.settings().keep_last == 3);
  CHECK(lifecycle.rules_for("ci/app").size() == 1);
  CHECK(lifecycle.rules_for("other").empty());
  CHECK_FALSE(loaded.policy->counts_every_pull());
  CHECK_FALSE(loaded.policy->counts_pulls_of("robot:scanner-7"));
  CHECK(loaded.policy->counts_pulls_of("robot:deploy"));
  CHECK(loaded.warnings.to_string().find("p.yaml:5:5: rule idle keeps nothing from anything") !=
        std::string::npos);
  // What tag rules say by default stays.
  CHECK(loaded.policy->tag_rule("ci/app", "1.4.2").rule->name == "releases");
}

TEST_CASE("policy: without lifecycle sections nothing expires, and every pull counts (I8)") {
  for (const auto& policy : {Policy::built_in(), load_policy("version: 1\n", "p.yaml").policy}) {
    REQUIRE(policy);
    REQUIRE(policy->lifecycle());
    CHECK(policy->lifecycle()->rules().empty());
    CHECK_FALSE(policy->lifecycle()->settings().schedule.has_value());
    CHECK(policy->lifecycle()->settings().keep_last == 1);
    CHECK(policy->counts_every_pull());
    CHECK(policy->counts_pulls_of("anonymous"));
  }
}

TEST_CASE("policy: any bytes are taken (I10)") {
  std::string deep = "version: 1\ntag_rules: ";
  for (int i = 0; i < 10'000; ++i) deep += '[';
  for (const std::string& text :
       {deep, std::string(3 << 20, 'x'), std::string("\0\xff", 2), std::string("a: &b [*b]")}) {
    CHECK_FALSE(load_policy(text, "p.yaml").policy);
  }
}

}  // namespace
}  // namespace stele::policy
