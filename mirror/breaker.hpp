#pragma once
// Whom not to ask for a while: an upstream that does not answer costs one time-out and not one per request,
// and one that says 429 is left alone for as long as it says.

#include <chrono>
#include <mutex>
#include <optional>
#include <string>

#include "base/error.hpp"

namespace stele::mirror {

// Of one upstream URL. Thread-safe.
class Breaker {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds first_pause{5};
  static constexpr std::chrono::seconds longest_pause{300};
  static constexpr std::chrono::seconds longest_retry_after{3600};

  // Why it is not to be asked now; empty: ask.
  // Its detail `retry_after` is the seconds until then.
  std::optional<Error> open(Time now) const;
  // Until it may be asked; 0: now.
  std::chrono::milliseconds left(Time now) const;
  void worked();
  // It did not answer, or answered 5xx: 5 s, twice as long each time, at most five minutes.
  void failed(const Error& error, Time now);
  // It said 429: until it may be asked again, at most an hour; a minute when it does not say.
  void limited(std::optional<std::chrono::seconds> retry_after, const Error& error, Time now);

 private:
  mutable std::mutex mutex_;
  std::chrono::seconds pause_{0};
  Time until_{};
  std::optional<Error> error_;
};

}  // namespace stele::mirror
