#include "registry/release_clock.hpp"

#include <algorithm>

namespace stele {

ReleaseClock::ReleaseClock(const Clock& wall, const Clock& boot, std::optional<Timestamp> highest)
    : wall_(wall), boot_(boot) {
  begin(highest);
}

void ReleaseClock::begin(std::optional<Timestamp> highest) {
  const std::lock_guard lock(mutex_);
  const Timestamp wall = wall_.now();
  boot_base_ = boot_.now();
  unconfirmed_.reset();
  base_ = highest ? std::max(*highest, wall) : wall;
  if (highest && wall > *highest + largest_jump_seconds * 1'000'000) {
    unconfirmed_ = wall;
    base_ = *highest;
  }
  highest_ = base_;
}

Timestamp ReleaseClock::now() const {
  const std::lock_guard lock(mutex_);
  const Timestamp fastest = base_ + (boot_.now().microseconds - boot_base_.microseconds);
  highest_ = std::max(highest_, unconfirmed_ ? fastest : std::min(fastest, wall_.now()));
  return highest_;
}

std::optional<Timestamp> ReleaseClock::unconfirmed() const {
  const std::lock_guard lock(mutex_);
  return unconfirmed_;
}

void ReleaseClock::confirm() {
  const std::lock_guard lock(mutex_);
  const Timestamp boot = boot_.now();
  // What was shown and confirmed is the time of the start; the machine's may have been set further since.
  Timestamp right = wall_.now();
  if (unconfirmed_) right = std::min(right, *unconfirmed_ + (boot.microseconds - boot_base_.microseconds));
  unconfirmed_.reset();
  base_ = std::max(highest_, right);
  boot_base_ = boot;
}

}  // namespace stele
