#include "http/range.hpp"
#include "tests/support/catch.hpp"

namespace stele::http {
namespace {

using Ranges = std::vector<ByteRange>;

TEST_CASE("http: ranges are clipped to the content") {
  CHECK(*parse_range("bytes=0-0", 10) == Ranges{{0, 0}});
  CHECK(*parse_range("bytes=5-", 10) == Ranges{{5, 9}});
  CHECK(*parse_range("bytes=-3", 10) == Ranges{{7, 9}});
  CHECK(*parse_range("bytes=-30", 10) == Ranges{{0, 9}});
  CHECK(*parse_range("bytes=5-500", 10) == Ranges{{5, 9}});
  CHECK(*parse_range("bytes=0-99999999999999999999999", 10) == Ranges{{0, 9}});
  CHECK(*parse_range("bytes=0-1, 4-5 ,8-", 10) == Ranges{{0, 1}, {4, 5}, {8, 9}});
  CHECK(*parse_range("bytes=0-1,400-500", 10) == Ranges{{0, 1}});
}

TEST_CASE("http: a range header that says nothing is ignored") {
  for (const char* header : {"", "bytes", "items=0-1", "bytes=", "bytes=a-b", "bytes=1", "bytes=-",
                             "bytes=1-2x", "bytes=--1", "bytes=+1-2"}) {
    INFO(header);
    REQUIRE(parse_range(header, 10).has_value());
    CHECK(parse_range(header, 10)->empty());
  }
}

TEST_CASE("http: ranges that cannot be answered, or cost more than they are worth (I10)") {
  for (const char* header :
       {"bytes=500-0", "bytes=10-", "bytes=10-11", "bytes=-0", "bytes=0-9,0-9", "bytes=0-5,3-9"}) {
    INFO(header);
    REQUIRE_FALSE(parse_range(header, 10).has_value());
    CHECK(parse_range(header, 10).error().code() == Errc::range_unsatisfiable);
  }
  CHECK_FALSE(parse_range("bytes=0-", 0).has_value());
  std::string many = "bytes=0-0";
  for (int i = 1; i < 64; ++i) many += "," + std::to_string(i * 2) + "-" + std::to_string(i * 2);
  CHECK(parse_range(many, 1000)->size() == 64);
  CHECK_FALSE(parse_range(many + ",900-900", 1000).has_value());
}

TEST_CASE("http: Content-Range in the specification's and in HTTP's form") {
  CHECK(*parse_content_range("0-4") == ByteRange{0, 4});
  CHECK(*parse_content_range("bytes 5-9/10") == ByteRange{5, 9});
  CHECK(*parse_content_range("bytes 5-9/*") == ByteRange{5, 9});
  for (const char* header :
       {"", "5", "-", "5-", "-5", "9-5", "a-b", "0-9223372036854775807", "0-99999999999999999999"}) {
    INFO(header);
    CHECK_FALSE(parse_content_range(header).has_value());
  }
}

}  // namespace
}  // namespace stele::http
