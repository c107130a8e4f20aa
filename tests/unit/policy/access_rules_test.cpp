#include "policy/access_rules.hpp"

#include <random>

#include "policy/load.hpp"
#include "policy/rules.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/seed.hpp"

namespace stele::policy {
namespace {

using Outcome = AccessDecision::Outcome;

std::shared_ptr<const AccessRules> rules_of(const std::string& section) {
  const auto loaded = load_policy("version: 1\naccess_rules:\n" + section, "p.yaml");
  INFO(loaded.problems.to_string());
  REQUIRE(loaded.policy);
  REQUIRE(loaded.policy->access());
  return loaded.policy->access();
}

Identity called(const std::string& principal, std::vector<std::string> groups = {}) {
  Identity identity;
  identity.principal = Principal(principal);
  identity.groups = std::move(groups);
  return identity;
}

Identity job(std::vector<Claim> claims, std::string issuer = "https://token.actions.githubusercontent.com") {
  Identity identity = called("oidc:job");
  identity.issuer = std::move(issuer);
  identity.claims = std::move(claims);
  return identity;
}

bool may(const AccessRules& rules, const Identity& who, Right right, std::string_view where) {
  return rules.decide(who, right, where).allowed();
}

TEST_CASE("access rules: a policy without the section has none") {
  const auto loaded = load_policy("version: 1\n", "p.yaml");
  REQUIRE(loaded.policy);
  CHECK_FALSE(loaded.policy->access());
  CHECK_FALSE(Policy::built_in()->access());
}

TEST_CASE("access rules: deny beats allow in whatever order, and what no rule speaks of is denied") {
  const auto rules = rules_of(R"(
  - {who: ["user:releaser", "group:dev"], repositories: ["team/**", "!team/secret"], allow: [pull, push]}
  - {name: freeze, who: [authenticated], repositories: ["team/old"], deny: [push]}
  - {who: ["user:root"], repositories: ["**"], allow: [pull, push, delete, admin]}
  - {who: [anonymous], repositories: ["public/**"], allow: [pull]}
)");
  const Identity releaser = called("user:releaser"), dev = called("user:ann", {"ops", "dev"});
  for (const Identity& one : {releaser, dev}) {
    CHECK(may(*rules, one, Right::push, "team/app"));
    CHECK_FALSE(may(*rules, one, Right::remove, "team/app"));
    CHECK_FALSE(may(*rules, one, Right::push, "team/secret"));
    CHECK_FALSE(may(*rules, one, Right::push, "other/app"));
    CHECK(may(*rules, one, Right::pull, "team/old"));
    CHECK(rules->decide(one, Right::push, "team/old").outcome == Outcome::denied);
    CHECK(rules->decide(one, Right::push, "team/old").rule == 1);
  }
  // A rule that stands after the one that denies changes nothing.
  CHECK_FALSE(may(*rules, called("user:root"), Right::push, "team/old"));
  CHECK(may(*rules, called("user:root"), Right::remove, "team/old"));
  CHECK(rules->decide(called("user:stranger"), Right::pull, "team/app").outcome == Outcome::unmatched);

  const auto allowed = rules->decide(dev, Right::push, "team/app");
  CHECK(allowed.rule == 0);
  CHECK(allowed.repository_pattern == "team/**");
  REQUIRE(allowed.who);
  CHECK(allowed.who->to_string() == "group:dev");
  CHECK(rules->rules()[1].shown(1) == "rule freeze (line 5)");
  CHECK(rules->rules()[0].shown(0) == "rule 1 (line 4)");
}

TEST_CASE("access rules: nobody loses a right by saying who he is, and nobody escapes a denial by it") {
  const auto rules = rules_of(R"(
  - {who: [anonymous], repositories: ["public/**"], allow: [pull]}
  - {who: [anonymous], repositories: ["public/members"], deny: [pull]}
  - {who: [authenticated], repositories: ["public/anonymous-only"], deny: [pull]}
)");
  CHECK(may(*rules, {}, Right::pull, "public/a"));
  CHECK(may(*rules, called("user:ann"), Right::pull, "public/a"));
  CHECK_FALSE(may(*rules, {}, Right::pull, "public/members"));
  CHECK(may(*rules, called("user:ann"), Right::pull, "public/members"));
  CHECK_FALSE(may(*rules, called("user:ann"), Right::pull, "public/anonymous-only"));
}

TEST_CASE("access rules: the whole server is what \"**\" speaks of, without exclusions") {
  const auto rules = rules_of(R"(
  - {who: ["user:all"], repositories: ["**"], allow: [admin]}
  - {who: ["user:most"], repositories: ["**", "!secret/**"], allow: [admin]}
  - {who: ["user:one"], repositories: ["prod/**"], allow: [admin]}
  - {who: ["user:all"], repositories: ["prod/**"], deny: [admin]}
)");
  CHECK(may(*rules, called("user:all"), Right::admin, ""));
  CHECK_FALSE(may(*rules, called("user:all"), Right::admin, "prod/a"));
  CHECK_FALSE(may(*rules, called("user:most"), Right::admin, ""));
  CHECK(may(*rules, called("user:most"), Right::admin, "prod/a"));
  CHECK_FALSE(may(*rules, called("user:one"), Right::admin, ""));
  CHECK(rules->perhaps_somewhere(called("user:one"), Right::admin));
  CHECK_FALSE(rules->perhaps_somewhere(called("user:one"), Right::pull));
}

TEST_CASE("access rules: who") {
  const auto matches = [](const std::string& text, const Identity& identity) {
    const auto who = Who::parse(text);
    REQUIRE(who.has_value());
    CHECK(who->to_string() == text);
    return who->matches(identity);
  };
  CHECK(matches("user:ann", called("user:ann")));
  for (const char* other : {"user:anna", "user:an", "robot:ann", "cert:ann", "ann", "user:", "anonymous"})
    CHECK_FALSE(matches("user:ann", called(other)));
  CHECK(matches("robot:k8s-*", called("robot:k8s-prod")));
  CHECK(matches("robot:k8s-*", called("robot:k8s-")));
  CHECK_FALSE(matches("robot:k8s-*", called("robot:k8s-prod/x")));
  CHECK_FALSE(matches("robot:k8s-*", called("robot:k8s-a:b")));
  CHECK(matches("cert:spiffe://org/ns/*/sa/ci", called("cert:spiffe://org/ns/prod/sa/ci")));
  CHECK_FALSE(matches("cert:spiffe://org/ns/*/sa/ci", called("cert:spiffe://org/ns/a/b/sa/ci")));
  // A name is no pattern but for its stars.
  CHECK_FALSE(matches("user:a.n", called("user:aan")));
  CHECK_FALSE(matches("user:{ann,bob}", called("user:ann")));
  CHECK(matches("group:cn=dev,ou=*", called("user:x", {"cn=dev,ou=groups"})));
  CHECK_FALSE(matches("group:dev", called("group:dev")));  // a principal cannot be called like a group
  CHECK_FALSE(matches("group:dev", called("user:x", {"devs", "Dev"})));
  CHECK(matches("anonymous", {}));
  CHECK_FALSE(matches("anonymous", called("user:x")));
  CHECK_FALSE(matches("authenticated", {}));
  CHECK(matches("authenticated", called("cert:x")));
}

TEST_CASE("access rules: claims of a CI job must all match, whole, once, and from that issuer (A12)") {
  const auto rules = rules_of(R"(
  - {who: [{oidc: github, repository_id: "2", ref: "refs/heads/*"}], repositories: ["ci/**"], allow: [push]}
  - {who: ["oidc:https://gitlab.example:8443:project_id=7"], repositories: ["lab/**"], allow: [push]}
)");
  const auto pushes = [&](const Identity& identity) { return may(*rules, identity, Right::push, "ci/a"); };
  // Whatever became of the form of `sub`.
  for (const char* sub : {"repo:o/r:ref:refs/heads/main", "repo:o@1/r@2:ref:refs/heads/main"})
    CHECK(pushes(job({{"sub", sub}, {"repository_id", "2"}, {"ref", "refs/heads/main"}})));
  // Made again under the same name.
  CHECK_FALSE(pushes(job({{"repository_id", "3"}, {"ref", "refs/heads/main"}})));
  CHECK_FALSE(pushes(job({{"repository_id", "2"}})));
  CHECK_FALSE(pushes(job({{"ref", "refs/heads/main"}})));
  CHECK_FALSE(pushes(job({{"repository_id", "22"}, {"ref", "refs/heads/main"}})));
  CHECK_FALSE(pushes(job({{"repository_id", "2"}, {"ref", "refs/heads/a/b"}})));
  CHECK_FALSE(pushes(job({{"repository_id", "2"}, {"ref", "x/refs/heads/main"}})));
  CHECK_FALSE(pushes(job({{"repository_id", "2"}, {"ref", "refs/heads/main"}}, "https://evil.example")));
  CHECK_FALSE(pushes(job({{"repository_id", "2"}, {"repository_id", "3"}, {"ref", "refs/heads/main"}})));
  Identity without_token = called("user:x");
  without_token.claims = {{"repository_id", "2"}, {"ref", "refs/heads/main"}};
  CHECK_FALSE(pushes(without_token));
  CHECK(may(*rules, job({{"project_id", "7"}}, "https://gitlab.example:8443"), Right::push, "lab/a"));

  const auto warned = [](const std::string& who) {
    const auto loaded = load_policy(
        "version: 1\naccess_rules:\n- {who: [" + who + "], repositories: [\"a/**\"], allow: [push]}\n",
        "p.yaml");
    REQUIRE(loaded.policy);
    return loaded.warnings.to_string().find("stays with one project") != std::string::npos;
  };
  CHECK(warned(R"({oidc: github, sub: "repo:o/r:*"})"));
  CHECK(warned(R"("oidc:github:sub=repo:o/r:ref:refs/heads/main")"));
  CHECK(warned(R"({oidc: github, repository_id: "*", ref: main})"));  // anybody's
  CHECK_FALSE(warned(R"({oidc: github, repository_id: "2"})"));
  CHECK_FALSE(warned(R"({oidc: "https://k8s.example", kubernetes.io/serviceaccount/uid: u-1})"));
}

TEST_CASE("access rules: stars, against the regular expression that they stand for") {
  const std::uint64_t seed = chosen_seed().value_or(5);
  std::mt19937_64 random(seed);
  const auto text_of = [&](const char* letters, std::size_t count, std::size_t most) {
    std::string text;
    for (std::size_t length = random() % (most + 1); text.size() < length;) text += letters[random() % count];
    return text;
  };
  int matched = 0;
  for (int i = 0; i < 200'000; ++i) {
    const std::string pattern = text_of("ab:*", 4, 6), text = text_of("ab:/", 4, 7);
    // By hand, with every way to divide the text.
    const std::function<bool(std::size_t, std::size_t)> fits = [&](std::size_t p, std::size_t t) {
      if (p == pattern.size()) return t == text.size();
      if (pattern[p] != '*') return t < text.size() && text[t] == pattern[p] && fits(p + 1, t + 1);
      return fits(p + 1, t) || (t < text.size() && text[t] != ':' && text[t] != '/' && fits(p, t + 1));
    };
    INFO("TEST_SEED=" << seed << ": " << pattern << " " << text);
    REQUIRE(matches_with_stars(pattern, text) == fits(0, 0));
    matched += fits(0, 0);
  }
  CHECK(matched > 1000);
}

TEST_CASE("access rules: decisions, against a model that looks at every rule") {
  const std::uint64_t seed = chosen_seed().value_or(7);
  INFO("TEST_SEED=" << seed);
  std::mt19937_64 random(seed);
  const std::vector<std::string> whos{"user:a", "user:*", "group:g", "robot:r", "anonymous", "authenticated"};
  const std::vector<std::string> patterns{"**", "x/**", "x/a", "y/*", "!x/a", "!y/**"};
  const std::vector<std::string> places{"", "x/a", "x/b", "y/a", "z"};
  const std::vector<Identity> callers{{}, called("user:a"), called("user:b", {"g"}), called("robot:r")};
  const auto pick = [&](const auto& list) { return list[random() % list.size()]; };
  int outcomes[3] = {0, 0, 0};
  for (int round = 0; round < 400; ++round) {
    std::vector<AccessRule> list(random() % 5);
    for (AccessRule& rule : list) {
      rule.who.push_back(Who::parse(pick(whos)).value());
      rule.repositories = {patterns[random() % 4], pick(patterns)};
      (random() % 3 == 0 ? rule.deny : rule.allow).add(random() % 2 == 0 ? Right::pull : Right::admin);
    }
    const AccessRules rules(list);
    for (const Identity& caller : callers) {
      for (const Right right : {Right::pull, Right::admin}) {
        const auto sight = rules.sight_of(caller, {right});
        for (const std::string& place : places) {
          bool denied = false, allowed = false;
          for (const AccessRule& rule : list) {
            const Who& who = rule.who.front();
            bool positive = false, negative = false;
            for (const std::string& pattern : rule.repositories) {
              const bool excludes = pattern.front() == '!';
              const std::string plain = pattern.substr(excludes ? 1 : 0);
              const bool hit = plain == "**" || plain == place || (plain == "x/**" && place[0] == 'x') ||
                               ((plain == "y/*" || plain == "y/**") && place[0] == 'y');
              (excludes ? negative : positive) = (excludes ? negative : positive) || hit;
            }
            const bool there = place.empty() ? rule.is_of_the_server() : positive && !negative;
            denied = denied || (there && rule.deny.has(right) && who.matches(caller));
            allowed = allowed || (there && rule.allow.has(right) &&
                                  (who.matches(caller) || who.kind() == Who::Kind::anonymous));
          }
          const auto decision = rules.decide(caller, right, place);
          const Outcome expected = denied ? Outcome::denied : allowed ? Outcome::allowed : Outcome::unmatched;
          REQUIRE(decision.outcome == expected);
          ++outcomes[static_cast<int>(expected)];
          if (!place.empty()) REQUIRE(sight.has(place) == decision.allowed());
          if (sight.everywhere()) REQUIRE(decision.allowed());
          if (decision.allowed()) REQUIRE(rules.perhaps_somewhere(caller, right));
        }
      }
    }
  }
  for (const int count : outcomes) CHECK(count > 100);
}

TEST_CASE("access rules: near misses say what keeps a rule from deciding") {
  const auto rules = rules_of(R"(
  - {who: ["group:dev"], repositories: ["prod/**"], allow: [push]}
  - {who: ["user:ann"], repositories: ["team/**"], allow: [push]}
  - {who: ["user:ann"], repositories: ["prod/**"], allow: [pull]}
  - {who: ["user:bob"], repositories: ["other/**"], allow: [push]}
)");
  const auto near = rules->near_misses(called("user:ann"), Right::push, "prod/app");
  REQUIRE(near.size() == 3);
  CHECK(near[0].why == "it gives push there, but to group:dev");
  CHECK(near[1].why == "it gives push to user:ann, but in team/**");
  CHECK(near[2].why == "it speaks of user:ann there, but gives pull");
  CHECK(rules->near_misses(called("user:ann"), Right::push, "prod/app", 1).size() == 1);
}

TEST_CASE("access rules: the canonical form does not depend on how a rule is written") {
  const auto rules = rules_of(R"(
  - {allow: [push, pull], who: [{ref: refs/heads/main, repository_id: "2", oidc: github}], repositories: ["a/**"]}
  - name: b
    who:
    - oidc: github
      repository_id: 2
      ref: refs/heads/main
    repositories: ['a/**']
    allow: [pull, push]
)");
  CHECK(
      canonical_json(rules->rules()[0]) ==
      R"({"who":["{oidc: https://token.actions.githubusercontent.com, ref: refs/heads/main, repository_id: 2}"],)"
      R"("repositories":["a/**"],"allow":["pull","push"]})");
  AccessRule unnamed = rules->rules()[1];
  unnamed.name.clear();
  CHECK(canonical_json(unnamed) == canonical_json(rules->rules()[0]));
}

struct Said {
  std::string text;
  std::string words;
};

TEST_CASE("access rules: what cannot be meant is refused with line, column and the next step") {
  const std::vector<Said> table{
      {"", "p.yaml:2:1: access_rules must be a list of rules, not "},
      {" {}", "access_rules must be a list of rules, not a mapping"},
      {"\n- push\n", "p.yaml:3:3: a rule must be a mapping such as {who:"},
      {"\n- {repositories: [a], allow: [pull]}\n", "p.yaml:3:3: rule 1 (line 3) lacks who"},
      {"\n- {who: [anonymous], allow: [pull]}\n", "lacks repositories"},
      {"\n- {who: [anonymous], repositories: [a]}\n", "says nothing; write allow: [pull], or deny"},
      {"\n- {who: anonymous, repositories: [a], allow: [pull]}\n", "who must be a list"},
      {"\n- {who: [], repositories: [a], allow: [pull]}\n", "who must be a list"},
      {"\n- {who: [anonymous], repositories: [], allow: [pull]}\n", "names nothing that it matches"},
      {"\n- {who: [anonymous], repositories: [\"!a\"], allow: [pull]}\n", "names nothing that it matches"},
      {"\n- {who: [anonymous], repositories: [a], allow: []}\n", "allow must be a list of rights"},
      {"\n- {who: [anonymous], repositories: [a], allow: pull}\n", "allow must be a list of rights"},
      {"\n- {who: [anonymous], repositories: [a], allow: [pul]}\n",
       "p.yaml:3:49: \"pul\" is no right; did you mean \"pull\"?"},
      {"\n- {who: [anonymous], repositories: [a], deny: [remove]}\n",
       "rights are pull, push, delete, promote, rollback, release-tag, hold, release-hold, approve, "
       "bypass-governance, report-in-use, lifecycle, admin, audit"},
      {"\n- {who: [\"user:a\"], repositories: [a], allow: [upkeep]}\n", "no rule can give it"},
      {"\n- {who: [\"user:a\"], repositories: [a], allow: [pull, push], deny: [push]}\n",
       "allows and denies push"},
      {"\n- {who: [ann], repositories: [a], allow: [pull]}\n", "\"ann\" is nobody; write user:NAME"},
      {"\n- {who: [\"usr:ann\"], repositories: [a], allow: [pull]}\n", "did you mean \"user\"?"},
      {"\n- {who: [\"user:\"], repositories: [a], allow: [pull]}\n", "lacks the name"},
      {"\n- {who: [user: ann], repositories: [a], allow: [pull]}\n", "did you mean \"user:ann\"?"},
      {"\n- {who: [\"anonymous:x\"], repositories: [a], allow: [pull]}\n", "stands alone"},
      {"\n- {who: [\"oidc:github\"], repositories: [a], allow: [pull]}\n",
       "names an issuer, a claim and its value"},
      {"\n- {who: [\"oidc:github:=7\"], repositories: [a], allow: [pull]}\n",
       "names an issuer, a claim and its value"},
      {"\n- {who: [\"oidc:github:id=\"], repositories: [a], allow: [pull]}\n", "lacks its value"},
      {"\n- {who: [{oidc: github}], repositories: [a], allow: [pull]}\n", "needs a claim beside the issuer"},
      {"\n- {who: [{oidc: hub, id: 7}], repositories: [a], allow: [pull]}\n",
       "must be its URL, or github or gitlab"},
      {"\n- {who: [anonymous], repositories: [a], alow: [pull]}\n", "did you mean \"allow\"?"},
      {"\n- {name: a, who: [anonymous], repositories: [a], allow: [pull]}\n- {name: a, who: [anonymous], "
       "repositories: [b], allow: [pull]}\n",
       "already stands in line 3"},
  };
  for (const Said& row : table) {
    const auto loaded = load_policy("version: 1\naccess_rules:" + row.text, "p.yaml");
    INFO(row.text << "\n" << loaded.problems.to_string());
    CHECK_FALSE(loaded.policy);
    CHECK(loaded.problems.to_string().find(row.words) != std::string::npos);
  }
}

TEST_CASE("access rules: what never counts is pointed out, and nothing else") {
  const std::string admin = "\n- {who: [\"user:root\"], repositories: [\"**\"], allow: [admin]}";
  const auto warnings = [](const std::string& text) {
    const auto loaded = load_policy("version: 1\naccess_rules:" + text + "\n", "p.yaml");
    INFO(text << "\n" << loaded.problems.to_string());
    REQUIRE(loaded.policy);
    return loaded.warnings.to_string();
  };
  const std::vector<Said> table{
      {"\n- {who: [\"user:a\"], repositories: [a], allow: [pull]}", "nobody has admin over the whole server"},
      {" []", "nobody has admin over the whole server"},
      {"\n- {who: [\"user:root\"], repositories: [\"a/**\"], allow: [admin]}", "nobody has admin"},
      {admin + "\n- {who: [authenticated], repositories: [\"**\"], deny: [admin]}", "nobody has admin"},
      {admin + "\n- {who: [\"user:a\"], repositories: [\"a/**\"], allow: [lifecycle, pull]}",
       "p.yaml:4:3: of lifecycle this rule never decides"},
      {admin + "\n- {who: [\"user:a\"], repositories: [\"a/x\"], allow: [push]}\n- {who: [\"user:*\"], "
               "repositories: [\"**\"], deny: [push]}",
       "p.yaml:4:3: rule 2 (line 4) never allows anything: rule 3 (line 5) denies"},
      {admin + "\n- {who: [\"user:a\"], repositories: [\"a\"], allow: [pull]}\n- {who: [authenticated], "
               "repositories: [\"**\"], allow: [pull, push]}",
       "p.yaml:4:3: rule 2 (line 4) never decides anything: rule 3 (line 5) says all"},
      {admin + "\n- {who: [\"user:a\"], repositories: [a], allow: [pull]}\n- {who: [\"user:a\"], "
               "repositories: [a], allow: [pull]}",
       "p.yaml:5:3: rule 3 (line 5) never decides"},
      {admin + "\n- {who: [\"user:a\"], repositories: [\"Prod/**\"], allow: [pull]}", "never matches"},
      {admin + "\n- {who: [\"user:a\"], repositories: [a], allow: [pull, pull]}",
       "pull stands in allow twice"},
  };
  for (const Said& row : table) {
    INFO(row.text);
    CHECK(warnings(row.text).find(row.words) != std::string::npos);
  }
  for (const char* good : {"\n- {who: [\"user:a\"], repositories: [a], allow: [pull]}\n- {who: [\"user:b\"], "
                           "repositories: [a], allow: [pull]}",
                           "\n- {who: [\"user:a\"], repositories: [a], allow: [pull]}\n- {who: [\"user:a\"], "
                           "repositories: [a], deny: [push]}",
                           "\n- {who: [authenticated], repositories: [a], allow: [pull]}\n- {who: "
                           "[anonymous], repositories: [a], deny: [pull]}",
                           "\n- {who: [authenticated], repositories: [\"**\"], allow: [pull]}\n- {who: "
                           "[\"user:a\"], repositories: [\"a/**\"], deny: [pull]}"}) {
    INFO(good);
    CHECK(warnings(admin + good).empty());
  }
}

}  // namespace
}  // namespace stele::policy
