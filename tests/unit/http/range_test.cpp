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

TEST_CASE("http: ranges that cannot be answered") {
  for (const char* header : {"bytes=500-0", "bytes=10-", "bytes=10-11", "bytes=-0", "bytes=10-11,20-"}) {
    INFO(header);
    REQUIRE_FALSE(parse_range(header, 10).has_value());
    CHECK(parse_range(header, 10).error().code() == Errc::range_unsatisfiable);
  }
}

TEST_CASE("http: of empty content everything is sent, whatever range is asked") {
  for (const char* header : {"bytes=0-", "bytes=0-0", "bytes=-5", "bytes=7-9,1-2"}) {
    INFO(header);
    REQUIRE(parse_range(header, 0).has_value());
    CHECK(parse_range(header, 0)->empty());
  }
}

TEST_CASE("http: ranges that overlap are merged, so that no answer is larger than the content (I10)") {
  CHECK(*parse_range("bytes=0-9,0-9", 10) == Ranges{{0, 9}});
  CHECK(*parse_range("bytes=0-5,3-9", 10) == Ranges{{0, 9}});
  CHECK(*parse_range("bytes=0-399999,0-10", 400000) == Ranges{{0, 399999}});
  CHECK(*parse_range("bytes=4-5,0-1,2-2,8-9", 10) == Ranges{{0, 2}, {4, 5}, {8, 9}});
  // As podman asks: what touches stays apart, unless the parts' heads made the answer larger than the
  // content.
  CHECK(*parse_range("bytes=4-5,0-1,2-3", 10'000) == Ranges{{4, 5}, {0, 1}, {2, 3}});
  CHECK(*parse_range("bytes=4-5,0-1,1-3", 10'000) == Ranges{{0, 3}, {4, 5}});
  CHECK(*parse_range("bytes=8-,4-5,0-1", 10) == Ranges{{8, 9}, {4, 5}, {0, 1}});  // apart: as asked
  CHECK(*parse_range("bytes=-3,0-", 10) == Ranges{{0, 9}});
  unsigned state = 7;
  for (int round = 0; round < 200; ++round) {
    std::string header = "bytes=";
    std::vector<char> asked(97, 0), sent(97, 0);
    const auto next = [&](unsigned most) {
      state = state * 1664525 + 1013904223;
      return (state >> 8) % most;
    };
    for (unsigned i = 0, count = 1 + next(20); i < count; ++i) {
      const unsigned first = next(97), last = first + next(30);
      header += (i == 0 ? "" : ",") + std::to_string(first) + "-" + std::to_string(last);
      for (unsigned byte = first; byte <= last && byte < 97; ++byte) asked[byte] = 1;
    }
    INFO(header);
    const auto ranges = parse_range(header, 97);
    REQUIRE(ranges.has_value());
    for (const ByteRange& range : *ranges) {
      for (std::uint64_t byte = range.first; byte <= range.last; ++byte) ++sent.at(byte);
    }
    CHECK(sent == asked);
  }
}

TEST_CASE("http: 1,024 parts are served; of more the header is ignored") {
  std::string many = "bytes=0-0";
  for (int i = 1; i < 1024; ++i) many += "," + std::to_string(i * 2) + "-" + std::to_string(i * 2);
  CHECK(parse_range(many, 10'000)->size() == 1024);
  CHECK(parse_range(many + ",9000-9000", 10'000)->empty());
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
