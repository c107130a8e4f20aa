// Tables of cases: what they find, and what is wrong with a table itself.

#include "policy/cases.hpp"

#include "policy/load.hpp"
#include "tests/support/catch.hpp"

namespace stele::policy {
namespace {

const char* const policy_text = R"(version: 1
tag_rules:
  - {name: releases, tags: ["@semver"], mutability: immutable, lock: {for: 7y, mode: compliance}}
  - {name: moving, tags: [latest, "@semver-minor"], mutability: forward-only}
pull_rules:
  - {name: pins, principals: ["robot:*"], repositories: ["prod/**"], require: pinned}
)";

std::string outcome(const std::string& cases) {
  const auto loaded = load_policy(policy_text, "p.yaml");
  REQUIRE(loaded.policy);
  const CaseTable table = run_cases("cases:\n" + cases, "t.yaml", *loaded.policy);
  std::string text = table.problems.to_string();
  for (const CaseResult& result : table.results)
    text += std::to_string(result.at.line) + " " + result.what + ": " +
            (result.wrong.empty() ? "ok" : result.wrong) + "\n";
  return text;
}

TEST_CASE("policy cases: what is as expected and what is not") {
  CHECK(outcome("  - {tag: \"prod/app:1.4.2\", rule: releases, mutability: immutable, delete: deny, "
                "lifecycle: protect, lock: "
                "compliance}\n") == "2 tag prod/app:1.4.2: ok\n");
  CHECK(outcome("  - {tag: \"a:1.4\", mutability: immutable, rule: releases}\n") ==
        "2 tag a:1.4: rule is moving, not releases; mutability is forward-only, not immutable\n");
  CHECK(
      outcome("  - {move: \"a:1.4\", from: 1.4.2, to: 1.4.1, allowed: no}\n  - {move: \"a:1.4\", from: "
              "1.4.2, to: 1.4.3, "
              "allowed: no}\n") ==
      "2 move a:1.4 from 1.4.2 to 1.4.1: ok\n3 move a:1.4 from 1.4.2 to 1.4.3: it is allowed by rule moving "
      "(forward-only)\n");
  CHECK(outcome("  - {move: \"a:1.4.2\", allowed: yes}\n  - {move: \"a:main\", allowed: yes}\n") ==
        "2 move a:1.4.2: it is refused by rule releases\n3 move a:main: ok\n");
  CHECK(
      outcome("  - {pull: \"prod/a:latest\", as: \"robot:k8s\", allowed: no}\n  - {pull: \"prod/a:latest\", "
              "allowed: yes}\n"
              "  - {pull: \"prod/a:1.4.2\", allowed: no}\n  - {pull: \"dev/a:latest\", as: \"robot:k8s\", "
              "allowed: no}\n") ==
      "2 pull prod/a:latest as robot:k8s: ok\n3 pull prod/a:latest as anonymous: it is refused by rule pins\n"
      "4 pull prod/a:1.4.2 as anonymous: it is allowed: the tag is immutable\n"
      "5 pull dev/a:latest as robot:k8s: it is allowed: no pull rule binds robot:k8s\n");
}

TEST_CASE("policy cases: a table that says nothing is no table") {
  const auto has = [](const std::string& cases, const std::string& said) {
    const std::string text = outcome(cases);
    INFO(text);
    return text.find(said) != std::string::npos;
  };
  CHECK(has("  - {tag: \"a:1.4.2\"}\n", "t.yaml:2:5: a case expects nothing"));
  CHECK(has("  - {tag: \"a:1.4.2\", mutabilty: immutable}\n", "did you mean \"mutability\"?"));
  CHECK(has("  - {tags: \"a:1.4.2\"}\n", "did you mean \"tag\"?"));
  CHECK(has("  - {tag: a, mutability: immutable}\n", "must name a repository and a tag"));
  CHECK(has("  - {tag: \"A:1\", mutability: immutable}\n", "t.yaml:2:11:"));
  CHECK(has("  - {pull: \"a:1\"}\n", "lacks allowed"));
  CHECK(has("  - {pull: \"a:1\", allowed: maybe}\n", "allowed must be yes or no"));
  CHECK(has("  - a\n", "a case must be a mapping"));
  CHECK(has("  - {}\n", "a case is empty"));
}

}  // namespace
}  // namespace stele::policy
