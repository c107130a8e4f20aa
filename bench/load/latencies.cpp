#include "bench/load/latencies.hpp"

#include <algorithm>
#include <cmath>

namespace stele::load {

void Latencies::add(SteadyClock::duration taken) {
  microseconds_.push_back(
      static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::microseconds>(taken).count()));
}

void Latencies::merge(const Latencies& other) {
  microseconds_.insert(microseconds_.end(), other.microseconds_.begin(), other.microseconds_.end());
}

std::uint64_t Latencies::percentile(double share) const {
  if (microseconds_.empty()) return 0;
  std::vector<std::uint32_t> sorted = microseconds_;
  const double place = std::ceil(share * static_cast<double>(sorted.size())) - 1;
  const auto nth = sorted.begin() + static_cast<std::ptrdiff_t>(std::max(0.0, place));
  std::nth_element(sorted.begin(), nth, sorted.end());
  return *nth;
}

std::string report(double seconds, std::uint64_t bytes, const Latencies& latencies, const std::string& more) {
  std::string text =
      "{\"seconds\": " + std::to_string(seconds) + ", \"count\": " + std::to_string(latencies.count()) +
      ", \"bytes\": " + std::to_string(bytes) + ", \"p50_us\": " + std::to_string(latencies.percentile(0.5)) +
      ", \"p99_us\": " + std::to_string(latencies.percentile(0.99)) +
      ", \"max_us\": " + std::to_string(latencies.percentile(1));
  if (!more.empty()) text += ", " + more;
  return text + "}";
}

}  // namespace stele::load
