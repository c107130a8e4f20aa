#include "auth/access.hpp"

#include <set>

#include "tests/support/catch.hpp"

namespace stele::auth {
namespace {

using Method = Identity::Method;

std::set<Right> rights_of(const Identity& identity) {
  std::set<Right> rights;
  for (int i = 0; i <= static_cast<int>(Right::upkeep); ++i) {
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

TEST_CASE("auth: where there is a way to log in, who has not may do nothing and is told to") {
  const Access access(AccessSettings{.login = true});
  for (int i = 0; i <= static_cast<int>(Right::upkeep); ++i) {
    const auto refused = access.may({}, {static_cast<Right>(i), "asking"}, nullptr);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code() == Errc::unauthorized);
  }
  Identity alice;
  alice.principal = Principal("user:alice");
  alice.method = Method::password;
  for (const Right right : {Right::pull, Right::push, Right::remove, Right::promote, Right::report_in_use})
    CHECK(access.may(alice, {right, "asking"}, nullptr).has_value());
  for (const Right right : {Right::admin, Right::lifecycle, Right::hold, Right::rollback, Right::upkeep})
    CHECK(access.may(alice, {right, "asking"}, nullptr).error().code() == Errc::forbidden);
  Identity root;
  root.principal = Principal("local:0");
  root.method = Method::socket;
  root.administrator = true;
  CHECK(access.may(root, {Right::upkeep, "asking"}, nullptr).has_value());
}

TEST_CASE("auth: a token's scopes are an upper bound, and more is asked for with another token") {
  const Access access(AccessSettings{.login = true});
  const RepositoryName app = RepositoryName::parse("app").value(),
                       other = RepositoryName::parse("apple").value();
  Identity alice;
  alice.principal = Principal("user:alice");
  alice.method = Method::token;
  alice.scopes = {"none"};
  CHECK(access.may(alice, {Right::pull, "pulling"}, &app).error().code() == Errc::unauthorized);
  alice.scopes = {"repository:app:pull"};
  CHECK(access.may(alice, {Right::pull, "pulling"}, &app).has_value());
  CHECK(access.may(alice, {Right::push, "pushing"}, &app).error().code() == Errc::unauthorized);
  CHECK(access.may(alice, {Right::pull, "pulling"}, &other).error().code() == Errc::unauthorized);
  CHECK(access.may(alice, {Right::pull, "listing"}, nullptr).error().code() == Errc::unauthorized);
  // No scope gives what its bearer may not.
  alice.scopes = {"repository:app:*"};
  CHECK(access.may(alice, {Right::remove, "deleting"}, &app).has_value());
  CHECK(access.may(alice, {Right::rollback, "rolling back"}, &app).error().code() == Errc::forbidden);
  alice.principal = Principal::anonymous();
  CHECK(access.may(alice, {Right::pull, "pulling"}, &app).error().code() == Errc::unauthorized);
}

static_assert(!std::is_default_constructible_v<Needs>, "a route without a right must not compile");

}  // namespace
}  // namespace stele::auth
