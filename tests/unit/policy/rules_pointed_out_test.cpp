// What a policy says that is no error and does not do what its author meant.

#include "policy/lifecycle_rules.hpp"
#include "policy/load.hpp"
#include "policy/rules.hpp"
#include "tests/support/catch.hpp"

namespace stele::policy {
namespace {

TEST_CASE("policy: patterns that no name is spelled like are pointed out, with what was meant") {
  const auto warning = [](const std::string& list, const std::string& pattern) {
    const std::string other = list == "tags" ? "" : "tags: [a], ";
    const auto loaded = load_policy("version: 1\ntag_rules:\n  - {name: r, " + other + list + ": ['" +
                                        pattern + "'], mutability: mutable}\n",
                                    "p.yaml");
    INFO(loaded.problems.to_string());
    REQUIRE(loaded.policy);
    return loaded.warnings.to_string();
  };
  struct Row {
    const char* list;
    const char* pattern;
    const char* said;
  };
  constexpr Row table[] = {
      {"repositories", "a/x,a/y", "pattern \"a/x,a/y\" never matches: no name has a comma; write each"},
      {"repositories", "Prod/**", "in lower case; did you mean \"prod/**\"?"},
      {"repositories", "!Prod/**", "did you mean \"prod/**\"?"},
      {"repositories", "/prod/**", "did you mean \"prod/**\"?"},
      {"repositories", "prod/", "did you mean \"prod/**\"?"},
      {"repositories", "a//b", "no name has //"},
      {"repositories", "registry.example.com:5000/prod/**", "no host and no tag"},
      {"repositories", "^prod/.*", "a regular expression stands between slashes"},
      {"repositories", "team-[ab]/*", "a regular expression stands between slashes"},
      {"repositories", "a/.hidden*", "begins or ends with \".\""},
      {"repositories", "a..b", "repository"},
      {"repositories", "a b", "no repository's name has \" \""},
      {"repositories", "{a,B}/*", "as \"B/*\": repository names are in lower case"},
      {"tags", "feature/*", "did you mean \"feature-*\"?"},
      {"tags", "1.4.2+*", "did you mean \"1.4.2_*\"?"},
      {"tags", "v1,v2", "no name has a comma"},
      {"tags", "app:1.4", "a tag has no colon"},
      {"tags", "v[0-9]*", "as in /v[0-9]+/"},
      {"tags", "/v[0-9]+", "stands between slashes"},
      {"tags", "-x*", "no tag begins with . or -"},
      {"tags", "a b", "no tag has \" \""},
      {"tags", "!{a,b/c}", "as \"b/c\""},
  };
  for (const Row& row : table) {
    const bool excludes = *row.pattern == '!';
    INFO(row.pattern);
    if (!excludes) {
      CHECK(warning(row.list, row.pattern).find(row.said) != std::string::npos);
      continue;
    }
    const std::string more = std::string(row.list) == "tags" ? "" : "tags: [a], ";
    const auto loaded = load_policy("version: 1\ntag_rules:\n  - {name: r, " + more + row.list +
                                        ": ['**', '" + row.pattern + "'], mutability: mutable}\n",
                                    "p.yaml");
    CHECK(loaded.warnings.to_string().find(row.said) != std::string::npos);
  }
  CHECK(warning("tags", std::string(129, 'a')).find("longer than 128") != std::string::npos);
  for (const char* pattern : {"prod/**", "**/app", "a*/{x,y-z}/**", "/[A-Z]/", "a-b.c_d/e--f", "*"}) {
    INFO(pattern);
    CHECK(warning("repositories", pattern).empty());
  }
  for (const char* pattern : {"V*", "**", "**/v*", "1.4.?", "{a,b}-c", "_x", "/^v[/]/", "@semver"}) {
    INFO(pattern);
    CHECK(warning("tags", pattern).empty());
  }
}

TEST_CASE("policy: rules that never decide are pointed out") {
  const auto warnings = [](const std::string& rules) {
    const auto loaded = load_policy("version: 1\ntag_rules:\n" + rules, "p.yaml");
    INFO(loaded.problems.to_string());
    REQUIRE(loaded.policy);
    return loaded.warnings.to_string();
  };
  CHECK(
      warnings("  - {name: all, tags: [\"*\"], mutability: mutable}\n"
               "  - {name: prod, repositories: [\"prod/**\"], tags: [\"@semver\"], mutability: immutable}\n")
          .find(
              "p.yaml:4:5: rule prod never decides: rule all in line 3 matches all that it matches, and says "
              "otherwise (mutable)") != std::string::npos);
  CHECK(
      warnings(
          "  - {name: a, tags: [x, y], mutability: mutable}\n  - {name: b, tags: [y], mutability: mutable}\n")
          .find("remove one of them") != std::string::npos);
  CHECK(warnings("  - {name: a, tags: [\"*\", \"!keep\"], mutability: mutable}\n"
                 "  - {name: b, tags: [keep], mutability: immutable}\n")
            .empty());
  CHECK(warnings("  - {name: a, repositories: [\"a/**\"], tags: [x], mutability: mutable}\n"
                 "  - {name: b, tags: [x], mutability: immutable}\n")
            .empty());
  CHECK(warnings("  - {name: a, tags: [x], mutability: immutable, delete: allow}\n").find("stay bound") !=
        std::string::npos);
}

TEST_CASE("policy: expire entries that can never hit are pointed out, and only those") {
  const auto warnings = [](const std::string& text) {
    const auto loaded = load_policy("version: 1\n" + text, "p.yaml");
    INFO(loaded.problems.to_string());
    REQUIRE(loaded.policy);
    return loaded.warnings.to_string();
  };
  const auto expiring = [](const std::string& tags, const std::string& keep = {}) {
    return "lifecycle_rules:\n  - name: ci\n    repositories: [\"ci/**\"]\n" +
           (keep.empty() ? "" : "    keep: [" + keep + "]\n") +
           "    expire:\n      - {untagged: true}\n      - {tags: [" + tags + "], older_than: 9d}\n";
  };
  const auto says = [](const std::string& said, const std::string& what) {
    INFO(said);
    CHECK(said.find(what) != std::string::npos);
  };
  // Without tag rules the built-in ones count.
  says(warnings(expiring("\"@sha\"")),
       "p.yaml:7:9: this entry never removes anything: tag rule releases protects the tags that it names; "
       "lifecycle: allow in that rule lets them expire");
  says(warnings("tag_rules:\n  - {name: fixed, tags: [\"@semver\", \"@sha\"], mutability: immutable}\n" +
                expiring("\"@semver\", \"@sha\"")),
       "tag rule fixed protects");
  CHECK(warnings(expiring("\"@semver\", \"@sha\"")).empty());  // snapshots are @semver too
  CHECK(warnings(expiring("\"@semver\", \"pr-*\"")).empty());
  CHECK(warnings(expiring("\"1.*\"")).empty());  // 1.x is among them
  const std::string allowed =
      "tag_rules:\n  - {name: commits, repositories: [\"ci/**\"], tags: [\"@sha\"], mutability: immutable, "
      "lifecycle: allow}\n  - {name: all, tags: [\"**\"], mutability: immutable}\n";
  CHECK(warnings(allowed + expiring("\"@sha\"")).empty());
  // commits might be about some of them, as far as anybody can tell from the texts: nothing is said.
  CHECK(warnings(allowed + expiring("\"pr-*\"")).empty());
  says(
      warnings("tag_rules:\n  - {name: all, tags: [\"**\"], mutability: immutable}\n" + expiring("\"pr-*\"")),
      "tag rule all protects");
  CHECK(warnings("tag_rules:\n  - {name: prod, repositories: [\"prod/**\"], tags: [\"**\"], mutability: "
                 "immutable}\n" +
                 expiring("\"pr-*\""))
            .empty());
  says(warnings("tag_rules: []\ndefault: {mutability: immutable}\n" + expiring("\"pr-*\"")),
       "tag rule default protects");
  // A keep entry that keeps all of it.
  says(warnings(expiring("\"pr-*\"", "{tags: [latest, \"pr-*\"]}")),
       "p.yaml:8:9: this entry never removes anything: a keep entry of rule ci keeps all tags that it names");
  CHECK(warnings(expiring("\"pr-*\"", "{tags: [\"pr-*\"], pushed_within: 3d}")).empty());
  CHECK(warnings(expiring("\"pr-*\"", "{tags: [\"pr-*\"], newest_pushed: 3}")).empty());
  CHECK(warnings(expiring("\"pr-*\"", "{tags: [\"pr-*\", \"!pr-1\"]}")).empty());
}

}  // namespace
}  // namespace stele::policy
