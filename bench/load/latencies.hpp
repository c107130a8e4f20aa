#pragma once
// How long each request of a run took, and the one line of JSON in which a run reports itself.

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace stele::load {

using SteadyClock = std::chrono::steady_clock;

// Not thread-safe: one per client, merged at the end.
class Latencies {
 public:
  void add(SteadyClock::duration);
  void merge(const Latencies&);
  std::size_t count() const { return microseconds_.size(); }
  // The smallest latency that `share` (0 to 1) of the requests did not exceed; 0 when there were none.
  std::uint64_t percentile(double share) const;

 private:
  std::vector<std::uint32_t> microseconds_;
};

// {"seconds": …, "count": …, "bytes": …, "p50_us": …, "p99_us": …, "max_us": …, <more>}
std::string report(double seconds, std::uint64_t bytes, const Latencies&, const std::string& more = {});

}  // namespace stele::load
