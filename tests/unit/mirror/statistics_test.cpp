// What `stele mirror status` and /metrics count.

#include "mirror/statistics.hpp"

#include <numeric>

#include "tests/support/catch.hpp"

namespace stele::mirror {
namespace {

using std::chrono::microseconds;

TEST_CASE(
    "mirror statistics: a time is in the bucket whose bound it does not pass, a longer one in the last") {
  const auto [time, bucket] = GENERATE(table<std::int64_t, std::size_t>({{-1, 0},
                                                                         {0, 0},
                                                                         {10'000, 0},
                                                                         {10'001, 1},
                                                                         {50'000, 1},
                                                                         {10'000'000, 8},
                                                                         {10'000'001, 9},
                                                                         {3'600'000'000, 9}}));
  CAPTURE(time);
  LatencyCounts counts;
  counts.add(microseconds(time));
  const Latencies total = counts.total();
  CHECK(total.count == 1);
  CHECK(total.buckets.at(bucket) == 1);
  CHECK(std::accumulate(total.buckets.begin(), total.buckets.end(), std::uint64_t{0}) == 1);
}

TEST_CASE("mirror statistics: times add up, in seconds") {
  LatencyCounts counts;
  CHECK(counts.total().count == 0);
  counts.add(microseconds(250'000));
  counts.add(microseconds(1'250'000));
  CHECK(counts.total().count == 2);
  CHECK(counts.total().seconds == 1.5);
}

}  // namespace
}  // namespace stele::mirror
