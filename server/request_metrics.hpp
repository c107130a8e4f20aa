#pragma once
// Counts requests where they end: one shard per thread, added up when somebody asks.

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "http/exchange.hpp"

namespace stele {

// Thread-safe; record() takes only its own thread's uncontended lock.
class RequestMetrics {
 public:
  // Upper bounds in microseconds; the last bucket has none.
  static constexpr std::array<std::int64_t, 12> bounds{100,       500,        1'000,      5'000,
                                                       10'000,    50'000,     100'000,    500'000,
                                                       1'000'000, 10'000'000, 60'000'000, 600'000'000};

  struct Key {
    const char* route;
    std::string method;
    int status;
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  struct Durations {
    std::array<std::uint64_t, bounds.size() + 1> buckets{};
    double seconds = 0;
    std::uint64_t count = 0;
  };
  struct Totals {
    std::map<Key, std::uint64_t> requests;
    std::map<std::string, Durations> durations;  // by route
    std::uint64_t bytes_received = 0;
    std::uint64_t bytes_sent = 0;
    std::uint64_t broken = 0;  // answers that the client did not get whole
  };

  RequestMetrics();
  void record(const http::RequestSummary& summary);
  Totals totals() const;

 private:
  struct Shard {
    std::mutex mutex;
    Totals totals;
  };
  Shard& shard();

  const std::uint64_t id_;  // what a thread's cached shard belongs to; an address could be used again
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Shard>> shards_;
};

}  // namespace stele
