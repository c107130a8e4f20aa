#include "auth/access.hpp"

#include <set>

#include "auth/scopes.hpp"
#include "policy/load.hpp"
#include "tests/support/catch.hpp"

namespace stele::auth {
namespace {

using Method = Identity::Method;

std::set<Right> rights_of(const Identity& identity) {
  std::set<Right> rights;
  for (int i = 0; i < policy::right_count; ++i) {
    const auto right = static_cast<Right>(i);
    if (Access().may(identity, {right, "asking"}, nullptr)) rights.insert(right);
  }
  return rights;
}

TEST_CASE("auth: every right of everybody, until rules say otherwise") {
  const std::set<Right> anonymous{Right::pull, Right::push, Right::remove, Right::report_in_use};
  Identity identity;
  CHECK(rights_of(identity) == anonymous);

  identity.method = Method::certificate;
  identity.principal = Principal("cert:node");
  std::set<Right> known = anonymous;
  known.insert(Right::promote);
  CHECK(rights_of(identity) == known);

  identity.principal = Principal::anonymous();
  identity.method = Method::loopback;
  CHECK(rights_of(identity).size() == static_cast<std::size_t>(Right::upkeep));
  CHECK_FALSE(rights_of(identity).contains(Right::upkeep));

  identity.method = Method::socket;
  CHECK(rights_of(identity).empty());
  identity.administrator = true;
  CHECK(rights_of(identity).size() == static_cast<std::size_t>(Right::upkeep) + 1);
}

TEST_CASE("auth: a refusal names the right, what it was for and who asked") {
  const auto refused = Access().may({}, {Right::release_hold, "releasing a hold"}, nullptr);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code() == Errc::forbidden);
  for (const char* part : {"releasing a hold", "release-hold", "anonymous"})
    CHECK(refused.error().message().find(part) != std::string::npos);
}

// Made here, as an authenticator would find them.
Identity known(const std::string& principal, std::vector<std::string> groups = {}) {
  Identity identity;
  identity.principal = Principal(principal);
  identity.groups = std::move(groups);
  identity.method = Method::certificate;
  return identity;
}

std::shared_ptr<const policy::Policy> policy_of(const std::string& rules) {
  auto loaded = policy::load_policy("version: 1\n" + rules, "p.yaml");
  INFO(loaded.problems.to_string());
  REQUIRE(loaded.policy);
  return loaded.policy;
}

const RepositoryName app = RepositoryName::parse("prod/app").value();
const RepositoryName other = RepositoryName::parse("secret/other").value();
constexpr Needs pushing(Right::push, "pushing"), pulling(Right::pull, "pulling");

constexpr const char* team = R"(access_rules:
  - {name: team, who: ["group:dev"], repositories: ["prod/**"], allow: [pull, push]}
  - {name: freeze, who: ["user:late"], repositories: ["prod/app"], deny: [push]}
  - {who: [anonymous], repositories: ["public/**"], allow: [pull]}
)";

TEST_CASE("auth: rules decide at each request, from the policy in force") {
  policy::LivePolicy live(policy::Policy::built_in());
  const Access access(&live);
  const Identity dev = known("user:ann", {"dev"});
  CHECK(access.may({}, pushing, &app).has_value());  // no access rules: as before
  live.replace(policy_of(team));
  CHECK_FALSE(access.may({}, pushing, &app).has_value());
  CHECK(access.may(dev, pushing, &app).has_value());
  CHECK_FALSE(access.may(dev, pushing, &other).has_value());
  CHECK_FALSE(access.may(known("user:ann"), pushing, &app).has_value());  // out of the group
  live.replace(policy_of("access_rules: []\n"));
  CHECK_FALSE(access.may(dev, pushing, &app).has_value());
  CHECK_FALSE(access.may(dev, pulling, &app).has_value());
  live.replace(policy_of(""));
  CHECK(access.may({}, pushing, &app).has_value());
}

TEST_CASE(
    "auth: where there are rules, an address is no right, and the socket's administrator is not shut out") {
  policy::LivePolicy live(
      policy_of("access_rules:\n- {who: [anonymous, authenticated], repositories: [\"**\"], deny: [admin, "
                "pull, push]}\n"));
  const Access access(&live);
  Identity local;
  local.method = Method::loopback;
  for (int i = 0; i < policy::right_count; ++i) {
    const Needs needs(static_cast<Right>(i), "asking");
    for (const RepositoryName* repository : {static_cast<const RepositoryName*>(nullptr), &app}) {
      CHECK_FALSE(access.may(local, needs, repository).has_value());
      Identity root = known("local:0");
      root.method = Method::socket;
      CHECK_FALSE(access.may(root, needs, repository).has_value());
      root.administrator = true;
      CHECK(access.may(root, needs, repository).has_value());
      CHECK(access.sight_of(root, {Right::pull}).everything());
    }
  }
  live.replace(policy_of("access_rules:\n- {who: [anonymous], repositories: [\"**\"], allow: [admin]}\n"));
  CHECK_FALSE(access.may(local, {Right::upkeep, "sweeping"}, nullptr).has_value());
}

TEST_CASE("auth: a refusal says which rule, and 401 only to who can still say who he is") {
  policy::LivePolicy live(policy_of(team));
  const Access without(&live), with(&live, {.credentials = true});
  const auto refused = [](const Access& access, const Identity& who, const Needs& needs,
                          const RepositoryName* repository) {
    const auto may = access.may(who, needs, repository);
    REQUIRE_FALSE(may.has_value());
    return may.error();
  };
  CHECK(refused(without, {}, pushing, &app).code() == Errc::forbidden);
  CHECK(refused(with, {}, pushing, &app).code() == Errc::unauthorized);
  // A certificate in hand cannot be changed by a challenge, and neither can a denied user's name.
  CHECK(refused(with, known("cert:x"), pushing, &app).code() == Errc::forbidden);
  const Error none = refused(with, known("user:eve"), pushing, &app);
  CHECK(
      none.message().starts_with("pushing needs the right push in prod/app, which no rule of access_rules "
                                 "gives to user:eve"));
  REQUIRE(none.details().size() == 2);
  CHECK(none.details()[0].value == "push");
  CHECK(none.details()[1].value == "prod/app");
  const Error denied = refused(with, known("user:late", {"dev"}), pushing, &app);
  CHECK(denied.message() ==
        "pushing needs the right push in prod/app, which rule freeze (line 4) of access_rules denies to "
        "user:late");
  // Nothing is asked of the catalog: a repository that is there and one that is not differ in their names.
  const RepositoryName absent = RepositoryName::parse("secret/nothing").value();
  std::string there = refused(with, known("user:eve"), pulling, &other).message();
  there.replace(there.find("other"), 5, "nothing");
  CHECK(there == refused(with, known("user:eve"), pulling, &absent).message());
}

TEST_CASE("auth: where there is a way to log in and no rule, who has not may do nothing and is told to") {
  const Access access(nullptr, {.credentials = true});
  for (int i = 0; i < policy::right_count; ++i) {
    if (static_cast<Right>(i) == Right::upkeep) continue;  // of the socket alone
    const auto refused = access.may({}, {static_cast<Right>(i), "asking"}, nullptr);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code() == Errc::unauthorized);
  }
  CHECK_FALSE(access.sight_of({}, {Right::pull}).has("prod/app"));
  const Identity alice = known("user:alice");
  CHECK(access.sight_of(alice, {Right::pull}).everything());
  for (const Right right : {Right::pull, Right::push, Right::remove, Right::promote, Right::report_in_use})
    CHECK(access.may(alice, {right, "asking"}, nullptr).has_value());
  for (const Right right : {Right::admin, Right::lifecycle, Right::hold, Right::rollback, Right::upkeep})
    CHECK(access.may(alice, {right, "asking"}, nullptr).error().code() == Errc::forbidden);
}

TEST_CASE("auth: what a route that names no repository asks for") {
  policy::LivePolicy live(policy_of(team));
  const Access without(&live), with(&live, {.credentials = true});
  const Needs server(Right::pull, "reading the clock");
  const Needs list(Right::pull, "listing", Needs::Over::somewhere);
  const Needs greeting(Right::pull, "asking for the version", Needs::Over::nothing);
  CHECK_FALSE(with.may(known("user:ann", {"dev"}), server, nullptr).has_value());
  CHECK(with.may({}, list, nullptr).has_value());  // something is public
  CHECK_FALSE(with.may({}, Needs(Right::push, "x", Needs::Over::somewhere), nullptr).has_value());
  // Clients learn only there how to say who they are, whatever is public (A1).
  CHECK(with.may({}, greeting, nullptr).error().code() == Errc::unauthorized);
  CHECK(without.may({}, greeting, nullptr).has_value());
  CHECK(with.may(known("user:nobody"), greeting, nullptr).has_value());
  CHECK_FALSE(with.may(known("user:nobody"), greeting, &app).has_value());
  Identity anonymous_token;
  anonymous_token.scopes = {"repository:public/a:pull"};
  CHECK(with.may(anonymous_token, greeting, nullptr).has_value());
}

TEST_CASE("auth: whoever may push may ask whether it is there") {
  policy::LivePolicy live(
      policy_of("access_rules:\n- {who: [\"robot:ci\"], repositories: [\"prod/**\"], allow: [push]}\n"));
  const Access access(&live);
  const Needs asking(Right::pull, policy::Rights{Right::push}, "pulling");
  CHECK(access.may(known("robot:ci"), asking, &app).has_value());
  CHECK_FALSE(access.may(known("robot:ci"), pulling, &app).has_value());
  CHECK_FALSE(access.may(known("robot:ci"), asking, &other).has_value());
}

TEST_CASE("auth: a token's scopes take rights away and give none") {
  policy::LivePolicy live(policy_of(team));
  const Access access(&live, {.credentials = true});
  Identity dev = known("user:ann", {"dev"});
  dev.scopes = {"repository:prod/app:pull"};
  CHECK(access.may(dev, pulling, &app).has_value());
  const auto narrow = access.may(dev, pushing, &app);
  REQUIRE_FALSE(narrow.has_value());
  CHECK(narrow.error().code() == Errc::unauthorized);
  REQUIRE(narrow.error().details().size() == 3);
  CHECK(narrow.error().details()[2].value == "INSUFFICIENT_SCOPE");
  dev.scopes = {"repository:prod/app:pull", "repository:prod/app:push,delete"};
  CHECK(access.may(dev, pushing, &app).has_value());
  CHECK(access.may(dev, {Right::remove, "deleting"}, &app).error().code() == Errc::forbidden);
  dev.scopes = {"repository:secret/other:*"};
  CHECK(access.may(dev, pulling, &other).error().code() == Errc::forbidden);
  CHECK(access.may(dev, pulling, &app).error().code() == Errc::unauthorized);
  dev.scopes = {"none"};
  CHECK_FALSE(access.may(dev, pulling, &app).has_value());
  CHECK_FALSE(access.sight_of(dev, {Right::pull}).has("prod/app"));
  dev.scopes = {"registry:catalog:*"};
  CHECK(access.sight_of(dev, {Right::pull}).has("prod/app"));
  CHECK_FALSE(access.sight_of(dev, {Right::pull}).has("secret/other"));
  CHECK_FALSE(access.may(dev, pulling, &app).has_value());
  const Needs list(Right::pull, "listing", Needs::Over::list);
  CHECK(access.may(dev, list, nullptr).has_value());
  dev.scopes = {"repository:prod/app:pull"};
  CHECK(access.may(dev, list, nullptr).error().code() == Errc::unauthorized);  // a part would look like all
  // Without access rules too.
  const Access no_rules;
  CHECK_FALSE(no_rules.may(dev, pushing, &app).has_value());
  CHECK_FALSE(no_rules.sight_of(dev, {Right::push}).has("prod/app"));
}

TEST_CASE("auth: scopes as they are written") {
  const auto leave = [](const std::string& scope, Right right, std::string_view repository) {
    return scopes_leave(std::vector<std::string>{scope}, right, repository);
  };
  CHECK(leave("repository:a/b:pull,push", Right::push, "a/b"));
  CHECK(leave("repository:host:5000/a:pull", Right::pull, "host:5000/a"));  // the first and the last colon
  CHECK(leave("repository:a:*", Right::remove, "a"));
  for (const char* scope : {"repository:a:pull", "repository:a/b", "repository:a/b:", "repository:a/b:pul",
                            "repository:a/b:push", "repository(plugin):a/b:pull", ":a/b:pull", "", "*",
                            "repository:", "repository::pull", "registry:catalog:*"}) {
    INFO(scope);
    CHECK_FALSE(leave(scope, Right::pull, "a/b"));
    CHECK_FALSE(leave(scope, Right::pull, ""));
  }
}

TEST_CASE("auth: a list shows what may be pulled") {
  policy::LivePolicy live(policy_of(team));
  const Access access(&live);
  const auto sight = access.sight_of(known("user:ann", {"dev"}), {Right::pull});
  CHECK_FALSE(sight.everything());
  CHECK(sight.has("prod/app"));
  CHECK(sight.has("public/x"));
  CHECK_FALSE(sight.has("secret/other"));
  live.replace(policy::Policy::built_in());
  CHECK(access.sight_of({}, {Right::pull}).everything());
  CHECK_FALSE(access.sight_of({}, {Right::hold}).has("prod/app"));
  CHECK_FALSE(sight.has("secret/other"));  // of the policy that it was taken from
}

static_assert(!std::is_default_constructible_v<Needs>, "a route without a right must not compile");

}  // namespace
}  // namespace stele::auth
