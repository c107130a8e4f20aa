#pragma once
// How fast one mirror takes bytes from its upstream, all its fetches together: `max_rate`.

#include <chrono>
#include <cstdint>

namespace stele::mirror {

// Not thread-safe: on the mirrors' thread.
class Pace {
 public:
  using Time = std::chrono::steady_clock::time_point;

  explicit Pace(std::uint64_t bytes_per_second) : rate_(bytes_per_second) {}  // 0: as fast as it goes

  // These bytes came: for how long whoever took them takes no more. Short pauses are put together; time in
  // which nothing came is not saved up.
  std::chrono::milliseconds after(std::uint64_t bytes, Time now);

 private:
  const std::uint64_t rate_;
  Time paid_until_{};
};

}  // namespace stele::mirror
