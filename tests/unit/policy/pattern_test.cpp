#include "policy/pattern.hpp"

#include "tests/support/catch.hpp"

namespace stele::policy {
namespace {

struct Row {
  std::vector<std::string> patterns;
  std::vector<std::string> matching;
  std::vector<std::string> others;
};

TEST_CASE("policy: a list of patterns is any of the positives and none of the negatives") {
  const std::vector<Row> table{
      {{"**"}, {"a", "a/b/c", ""}, {}},
      {{"*"}, {"a", "a-b.c"}, {"a/b"}},
      {{"prod/*"}, {"prod/app"}, {"prod/a/b", "prod", "xprod/app", "prod/app/"}},
      {{"prod/**"}, {"prod/app", "prod/a/b"}, {"prod", "prods/a"}},
      {{"**/cache"}, {"a/cache", "a/b/cache", "cache"}, {"xcache", "a/xcache", "a/cache/b"}},
      {{"bank/**/app"}, {"bank/app", "bank/a/app", "bank/a/b/app"}, {"bankapp", "bank/xapp", "app"}},
      {{"a/**/**"}, {"a/b", "a/b/c"}, {"a"}},
      {{"**/**/x"}, {"x", "a/x", "a/b/x"}, {"ax"}},
      {{"a**/x"}, {"a/x", "ab/c/x"}, {"ax", "x"}},
      {{"a{**/x,b}"}, {"ab", "a/x", "aq/x"}, {"ax"}},
      {{"{**/x,a/**/y}"}, {"x", "q/x", "a/y", "a/b/y"}, {"y", "ay"}},
      {{"{a,b/}**/x"}, {"a/x", "ab/x", "b/c/x"}, {"x"}},
      {{"v?"}, {"v1", "vx"}, {"v", "v10", "v/"}},
      {{"{a,b}/x"}, {"a/x", "b/x"}, {"c/x", "a,b/x", "{a,b}/x"}},
      {{"{a,{b,c}d}"}, {"a", "bd", "cd"}, {"b", "d"}},
      {{"a,b"}, {"a,b"}, {"a", "b"}},
      {{"1.0"}, {"1.0"}, {"1x0", "11.0"}},
      {{"a+(b)[c]^$|\\"}, {"a+(b)[c]^$|\\"}, {"ab", "aab"}},
      {{"/v[0-9]+/"}, {"v1", "v22"}, {"v", "xv1", "v1x"}},
      {{"**", "!prod/**"}, {"a", "prod"}, {"prod/a", "prod/a/b"}},
      {{"!prod/**", "**"}, {"a"}, {"prod/a"}},
      {{"!a"}, {}, {"a", "b"}},
      {{}, {}, {"a", ""}},
  };
  for (const Row& row : table) {
    const auto list = PatternList::compile(row.patterns);
    REQUIRE(list.has_value());
    INFO((row.patterns.empty() ? std::string("no pattern") : row.patterns.front()));
    for (const std::string& text : row.matching) {
      INFO(text);
      CHECK(list->matches(text));
    }
    for (const std::string& text : row.others) {
      INFO(text);
      CHECK_FALSE(list->matches(text));
    }
  }
}

TEST_CASE("policy: a pattern that cannot be read is refused by name (I8)") {
  for (const char* text : {"", "!", "{a", "a}", "{a}}", "/(/", "/a{100000}/", "!/[/", "/(?=a)/", "/a\\1/"}) {
    const auto list = PatternList::compile({"good", text});
    INFO(text);
    REQUIRE_FALSE(list.has_value());
    CHECK(list.error().code() == Errc::parameter_invalid);
    CHECK(list.error().message().find("pattern \"") == 0);
  }
}

TEST_CASE("policy: patterns that explode elsewhere are linear here (I10)") {
  const auto list = PatternList::compile({"/(a+)+b/", "/(a|aa)*c/", "****************x"});
  REQUIRE(list.has_value());
  CHECK_FALSE(list->matches(std::string(100'000, 'a')));
  CHECK(list->matches(std::string(1000, 'a') + "b"));
}

}  // namespace
}  // namespace stele::policy
