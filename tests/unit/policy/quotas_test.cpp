// The section quotas: how it is read, which quota decides, and what a refusal says.

#include "policy/quotas.hpp"

#include "policy/load.hpp"
#include "tests/support/catch.hpp"

namespace stele::policy {
namespace {

Loaded load(const std::string& text) {
  return load_policy("version: 1\n" + text, "p.yaml");
}

std::string problems(const std::string& text) {
  const Loaded loaded = load(text);
  CHECK_FALSE(loaded.policy);
  return loaded.problems.to_string();
}

std::shared_ptr<const Quotas> quotas(const std::string& text) {
  const Loaded loaded = load(text);
  INFO(loaded.problems.to_string());
  REQUIRE(loaded.policy);
  return loaded.policy->quotas();
}

std::uint64_t bytes_of(const Quotas& all, std::string_view repository) {
  const auto match = all.of(repository);
  return match ? match.quota->bytes : 0;
}

TEST_CASE("quotas: without the section, and with an empty one, nothing is limited") {
  for (const char* text : {"", "quotas:\n", "quotas: []\n"}) {
    INFO(text);
    CHECK(quotas(text)->all().empty());
    CHECK_FALSE(quotas(text)->of("a"));
  }
  CHECK_FALSE(Policy::built_in()->quotas()->of("a"));
}

TEST_CASE("quotas: the smallest of those that speak of a repository decides, wherever it stands") {
  const auto all = quotas(
      "quotas:\n"
      "  - {repositories: [\"**\"], storage: 100GiB}\n"
      "  - {name: team-a, repositories: [\"team-a/**\", \"!team-a/big\"], storage: 50MiB}\n"
      "  - {repositories: [\"team-a/small\"], storage: 700}\n"
      "  - {repositories: [\"*/small\"], storage: 700}\n");
  CHECK(bytes_of(*all, "other") == 100ull << 30);
  CHECK(bytes_of(*all, "team-a/app") == 50ull << 20);
  CHECK(bytes_of(*all, "team-a/big") == 100ull << 30);
  CHECK(bytes_of(*all, "team-a/small") == 700);
  CHECK(all->of("team-a/app").shown() == "quota team-a (line 4)");
  CHECK(all->of("team-a/small").shown() == "quota 3 (line 5)");
  CHECK(all->of("team-b/small").shown() == "quota 4 (line 6)");
  CHECK(pattern_of(*all->of("team-a/app").quota, "team-a/app") == "team-a/**");
}

TEST_CASE("quotas: what was found for a repository stays right however many are asked for") {
  const auto all = quotas("quotas: [{repositories: [\"a/**\"], storage: 1}]\n");
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 1000; ++i) {
      REQUIRE(bytes_of(*all, "a/" + std::to_string(i)) == 1);
      REQUIRE(bytes_of(*all, "b/" + std::to_string(i)) == 0);
    }
  }
}

TEST_CASE("quotas: what cannot be enforced is refused with the line") {
  const auto has = [](const std::string& text, const std::string& words) {
    const std::string found = problems(text);
    INFO(found);
    CHECK(found.find(words) != std::string::npos);
  };
  has("quotas: {}\n", "p.yaml:2:9: quotas must be a list");
  has("quotas: [a]\n", "a quota must be a mapping");
  has("quotas: [{storage: 1GiB}]\n", "quota 1 (line 2) lacks repositories");
  has("quotas: [{repositories: [\"**\"]}]\n", "quota 1 (line 2) lacks storage");
  for (const char* size : {"0", "-1", "1GB", "9223372036854775808", "much"})
    has("quotas: [{repositories: [\"**\"], storage: " + std::string(size) + "}]\n",
        "storage must be a number of bytes above 0");
  has("quotas: [{repositories: [\"{\"], storage: 1}]\n", "{");
  has("quotas: [{repositories: [\"!a\"], storage: 1}]\n", "names nothing that it matches");
  has("quotas: [{repositories: [\"**\"], storage: 1, together: true}]\n", "unknown key \"together\"");
  has("quotas: [{name: x, repositories: [a], storage: 1}, {name: x, repositories: [b], storage: 1}]\n",
      "already stands in line 2");
  has("quota: []\n", "did you mean \"quotas\"?");
}

TEST_CASE("quotas: one that never decides is pointed out") {
  const auto warnings = [](const std::string& text) { return load(text).warnings.to_string(); };
  const std::string idle = warnings(
      "quotas:\n"
      "  - {name: all, repositories: [\"**\"], storage: 1GiB}\n"
      "  - {name: team, repositories: [\"team/**\"], storage: 2GiB}\n");
  CHECK(idle.find("p.yaml:4:5") != std::string::npos);
  CHECK(idle.find("quota team (line 4) never decides: quota all (line 3) speaks of all its repositories") !=
        std::string::npos);
  CHECK(warnings("quotas:\n"
                 "  - {name: all, repositories: [\"**\"], storage: 2GiB}\n"
                 "  - {name: team, repositories: [\"team/**\"], storage: 1GiB}\n")
            .empty());
}

TEST_CASE("quotas: a refusal names the repository, the rule, the numbers and what to do") {
  const auto all = quotas("quotas:\n  - {name: team-a, repositories: [\"team-a/**\"], storage: 50GiB}\n");
  const auto match = all->of("team-a/app");
  const Error refused = over_quota("team-a/app", match, (49ull << 30) + (900ull << 20), 300ull << 20);
  CHECK(refused.code() == Errc::forbidden);
  CHECK(refused.message() ==
        "team-a/app may hold 50 GiB, by quota team-a (line 3) of the policy (team-a/**), and holds 49.9 GiB; "
        "this push adds 300 MiB, which is 176 MiB too much; see what it holds with stele usage team-a/app, "
        "what a clean-up would remove with stele lifecycle plan, or ask for a larger quota");
  std::string details;
  for (const auto& member : refused.details()) details += member.key + "=" + member.value + " ";
  CHECK(details ==
        "reason=QUOTA_EXCEEDED rule=quota team-a (line 3) pattern=team-a/** quota_bytes=53687091200 "
        "used_bytes=53557067776 added_bytes=314572800 ");
  const Error full = over_quota("team-a/app", match, 50ull << 30, 0);
  CHECK(full.message().find("and holds 50 GiB: nothing more can be pushed to it; see") != std::string::npos);
}

}  // namespace
}  // namespace stele::policy
