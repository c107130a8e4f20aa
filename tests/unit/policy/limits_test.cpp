// What robots are limited to: how it is read, and what it leaves.
#include "policy/limits.hpp"

#include "tests/support/catch.hpp"

namespace stele::policy {
namespace {

Identity robot() {
  Identity identity;
  identity.principal = Principal("robot:ci");
  return identity;
}

TEST_CASE("limits: a pattern and the rights that are left there") {
  const auto limits = read_limits({"team/**:pull,push", "prod/app:promote"});
  REQUIRE(limits.has_value());
  const auto left = [&](Right right, const char* where) {
    return (*limits)->decide(robot(), right, where).allowed();
  };
  CHECK(left(Right::pull, "team/a"));
  CHECK(left(Right::push, "team/a/b"));
  CHECK_FALSE(left(Right::remove, "team/a"));
  CHECK(left(Right::promote, "prod/app"));
  CHECK_FALSE(left(Right::pull, "prod/app"));
  CHECK_FALSE(left(Right::pull, "teams"));
  // Rights over the whole server are in none but "**".
  CHECK_FALSE(left(Right::pull, ""));
}

TEST_CASE("limits: a star leaves every right that a rule can give, and no other") {
  const auto limits = read_limits({"**:*"});
  REQUIRE(limits.has_value());
  for (int i = 0; i < right_count; ++i) {
    const auto right = static_cast<Right>(i);
    INFO(to_string(right));
    CHECK((*limits)->decide(robot(), right, "a").allowed() == (right != Right::upkeep));
    CHECK((*limits)->decide(robot(), right, "").allowed() == (right != Right::upkeep));
  }
}

TEST_CASE("limits: the last colon ends the pattern") {
  const auto limits = read_limits({"/(?:a|b)/c/:pull"});
  REQUIRE(limits.has_value());
  CHECK((*limits)->decide(robot(), Right::pull, "b/c").allowed());
  CHECK_FALSE((*limits)->decide(robot(), Right::pull, "c").allowed());
}

TEST_CASE("limits: what cannot be read is refused, and quoted") {
  const std::vector<std::string> wrong{"",         "**",        ":pull",     "**:",     "**:pul",
                                       "**:pull,", "**:,pull",  "**:upkeep", "!a:pull", "a{b:pull",
                                       "/(/:pull", "**:pull,*", "a\nb:pull", "**:pull "};
  for (const std::string& limit : wrong) {
    INFO(limit);
    const auto limits = read_limits({"a:pull", limit});
    REQUIRE_FALSE(limits.has_value());
    CHECK(limits.error().code() == Errc::parameter_invalid);
    CHECK(limits.error().message().find('\n') == std::string::npos);
  }
  CHECK_FALSE(read_limits({}).has_value());
  CHECK_FALSE(read_limits(std::vector<std::string>(most_limits + 1, "a:pull")).has_value());
  CHECK_FALSE(read_limits({std::string(longest_limit, 'a') + ":pull"}).has_value());
}

}  // namespace
}  // namespace stele::policy
