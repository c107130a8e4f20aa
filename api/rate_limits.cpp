#include "api/rate_limits.hpp"

#include <algorithm>
#include <functional>

#include "base/random.hpp"

namespace stele::api {
namespace {

constexpr std::int64_t minute = 60'000'000;

}  // namespace

RateLimit::RateLimit(std::uint64_t per_minute, const Clock& clock)
    : per_minute_(per_minute),
      clock_(clock),
      seed_(random_hex(16)),
      tables_(per_minute == 0 ? nullptr : std::make_unique<std::array<Table, 2>>()) {}

std::int64_t RateLimit::fills_at(const Table& table, std::size_t place, std::int64_t now) const {
  return std::max(table[place].load(std::memory_order_relaxed), now);
}

std::optional<std::int64_t> RateLimit::one_more(std::string_view name) {
  if (!tables_) return std::nullopt;
  const std::int64_t now = clock_.now().microseconds;
  const std::int64_t costs = std::max<std::int64_t>(1, minute / static_cast<std::int64_t>(per_minute_));
  const std::size_t hash = std::hash<std::string>()(seed_ + std::string(name));
  const std::array<std::size_t, 2> at{hash % places, (hash / places) % places};
  std::int64_t over = minute;
  for (std::size_t i = 0; i < at.size(); ++i)
    over = std::min(over, fills_at((*tables_)[i], at[i], now) + costs - now - minute);
  if (over > 0) return (over + 999'999) / 1'000'000;
  for (std::size_t i = 0; i < at.size(); ++i) {
    std::atomic<std::int64_t>& filled = (*tables_)[i][at[i]];
    std::int64_t before = filled.load(std::memory_order_relaxed);
    // Whose place it is besides may have spent it all: no more than that.
    while (!filled.compare_exchange_weak(before, std::min(std::max(before, now) + costs, now + minute),
                                         std::memory_order_relaxed)) {
    }
  }
  return std::nullopt;
}

Result<void> count_request(RateLimit& limit, std::string_view name, std::string_view of) {
  const auto wait = limit.one_more(name);
  if (!wait) return {};
  return Error(Errc::too_many_requests,
               std::string(of) + " has made more than " + std::to_string(limit.per_minute()) +
                   " requests in a minute; try again in " + std::to_string(*wait) + " seconds")
      .with("retry_after", std::to_string(*wait));
}

}  // namespace stele::api
