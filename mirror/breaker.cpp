#include "mirror/breaker.hpp"

#include <algorithm>

namespace stele::mirror {

std::optional<Error> Breaker::open(Time now) const {
  const std::lock_guard lock(mutex_);
  if (!error_ || now >= until_) return std::nullopt;
  const auto left = std::chrono::ceil<std::chrono::seconds>(until_ - now);
  const std::string seconds = std::to_string(left.count());
  // The client's own Retry-After: earlier it is in vain.
  return Error(error_->code(), error_->message() + "; asked again in " + seconds + " s")
      .with("retry_after", seconds);
}

std::chrono::milliseconds Breaker::left(Time now) const {
  const std::lock_guard lock(mutex_);
  if (!error_ || now >= until_) return std::chrono::milliseconds(0);
  return std::chrono::ceil<std::chrono::milliseconds>(until_ - now);
}

void Breaker::worked() {
  const std::lock_guard lock(mutex_);
  pause_ = std::chrono::seconds(0);
  error_.reset();
}

void Breaker::failed(const Error& error, Time now) {
  const std::lock_guard lock(mutex_);
  pause_ = std::clamp(pause_ * 2, first_pause, longest_pause);
  until_ = now + pause_;
  error_ = error;
}

void Breaker::limited(std::optional<std::chrono::seconds> retry_after, const Error& error, Time now) {
  const std::lock_guard lock(mutex_);
  until_ = now + std::clamp(retry_after.value_or(std::chrono::seconds(60)), std::chrono::seconds(1),
                            longest_retry_after);
  error_ = error;
}

}  // namespace stele::mirror
