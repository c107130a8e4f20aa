#include "base/clock.hpp"
#include "tests/support/catch.hpp"

namespace stele {
namespace {

TEST_CASE("base: times are written and read as RFC 3339") {
  CHECK(to_string(Timestamp{0}) == "1970-01-01T00:00:00.000Z");
  CHECK(to_string(Timestamp{-1}) == "1969-12-31T23:59:59.999Z");
  const auto t = parse_timestamp("2026-11-23T05:55:27.120Z");
  REQUIRE(t.has_value());
  CHECK(to_string(*t) == "2026-11-23T05:55:27.120Z");
  CHECK(*parse_timestamp("2026-11-23T06:55:27.12+01:00") == *t);
  CHECK(*parse_timestamp("2026-11-23t00:55:27.12-05:00") == *t);
  for (const char* text : {"", "2026", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-01-01T24:00:00Z",
                           "2026-01-01T00:00:00", "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00Zx",
                           "2026-01-01T00:00:00+1:00"}) {
    INFO(text);
    CHECK_FALSE(parse_timestamp(text).has_value());
  }
}

}  // namespace
}  // namespace stele
