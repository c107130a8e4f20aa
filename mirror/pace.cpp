#include "mirror/pace.hpp"

#include <algorithm>

namespace stele::mirror {
namespace {

constexpr std::chrono::milliseconds shortest(20);
constexpr std::uint64_t second = 1'000'000'000;  // in nanoseconds

}  // namespace

std::chrono::milliseconds Pace::after(std::uint64_t bytes, Time now) {
  if (rate_ == 0) return {};
  const std::uint64_t whole = bytes / rate_, rest = bytes % rate_;
  const auto took = static_cast<double>(rest) * static_cast<double>(second) / static_cast<double>(rate_);
  const std::chrono::nanoseconds price(whole * second + static_cast<std::uint64_t>(took));
  paid_until_ = std::max(paid_until_, now) + price;
  const auto pause = std::chrono::duration_cast<std::chrono::milliseconds>(paid_until_ - now);
  return pause < shortest ? std::chrono::milliseconds(0) : pause;
}

}  // namespace stele::mirror
