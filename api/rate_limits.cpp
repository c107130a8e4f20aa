#include "api/rate_limits.hpp"

#include <algorithm>
#include <functional>
#include <limits>

#include "base/random.hpp"
#include "config/quantity.hpp"

namespace stele::api {
namespace {

constexpr std::int64_t minute = 60'000'000;

Error limited(std::string_view of, const std::string& what, std::int64_t wait) {
  return Error(Errc::too_many_requests, std::string(of) + " has " + what + " in a minute; try again in " +
                                            std::to_string(wait) + " seconds")
      .with("retry_after", std::to_string(wait));
}

std::int64_t seconds_of(std::int64_t microseconds) {
  return (microseconds + 999'999) / 1'000'000;
}

}  // namespace

RateLimit::RateLimit(std::uint64_t per_minute, const Clock& clock)
    : per_minute_(per_minute),
      clock_(clock),
      seed_(random_hex(16)),
      tables_(per_minute == 0 ? nullptr : std::make_unique<std::array<Table, 2>>()) {}

RateLimit::Places RateLimit::places_of(std::string_view name) const {
  const std::size_t hash = std::hash<std::string>()(seed_ + std::string(name));
  return {hash % places, (hash / places) % places};
}

std::int64_t RateLimit::beyond(const Places& at, std::int64_t now, std::int64_t more) const {
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  for (std::size_t i = 0; i < at.size(); ++i) {
    const std::int64_t fills_at = std::max((*tables_)[i][at[i]].load(std::memory_order_relaxed), now);
    least = std::min(least, fills_at + more - now - minute);
  }
  return least;
}

void RateLimit::fill(const Places& at, std::int64_t now, std::int64_t more, std::int64_t most) {
  for (std::size_t i = 0; i < at.size(); ++i) {
    std::atomic<std::int64_t>& filled = (*tables_)[i][at[i]];
    std::int64_t before = filled.load(std::memory_order_relaxed);
    // Whose place it is besides may have spent it all: no more than that.
    while (!filled.compare_exchange_weak(before, std::min(std::max(before, now) + more, now + most),
                                         std::memory_order_relaxed)) {
    }
  }
}

std::optional<std::int64_t> RateLimit::one_more(std::string_view name) {
  if (!tables_) return std::nullopt;
  const std::int64_t now = clock_.now().microseconds;
  const std::int64_t costs = std::max<std::int64_t>(1, minute / static_cast<std::int64_t>(per_minute_));
  const Places at = places_of(name);
  if (const std::int64_t excess = beyond(at, now, costs); excess > 0) return seconds_of(excess);
  fill(at, now, costs, minute);
  return std::nullopt;
}

std::optional<std::int64_t> RateLimit::over(std::string_view name) const {
  if (!tables_) return std::nullopt;
  const std::int64_t excess = beyond(places_of(name), clock_.now().microseconds, 0);
  if (excess <= 0) return std::nullopt;
  return seconds_of(excess);
}

void RateLimit::spend(std::string_view name, std::uint64_t amount) {
  if (!tables_ || amount == 0) return;
  constexpr std::int64_t most = minute + longest_wait * 1'000'000;
  const double share = static_cast<double>(amount) / static_cast<double>(per_minute_);
  const double costs = share * static_cast<double>(minute);
  fill(places_of(name), clock_.now().microseconds,
       costs < static_cast<double>(most) ? static_cast<std::int64_t>(costs) : most, most);
}

Result<void> count_request(const CallerLimits& limits, std::string_view name, std::string_view of) {
  if (const auto wait = limits.bytes.over(name)) {
    return limited(of, "sent and received more than " + config::format_size(limits.bytes.per_minute()),
                   *wait);
  }
  if (const auto wait = limits.requests.one_more(name)) {
    return limited(of, "made more than " + std::to_string(limits.requests.per_minute()) + " requests", *wait);
  }
  return {};
}

}  // namespace stele::api
