#pragma once
// The policy in force. Thread-safe: readers keep the one they took, however often it is replaced.

#include <atomic>
#include <memory>
#include <mutex>

#include "policy/rules.hpp"

namespace stele::policy {

class LivePolicy {
 public:
  explicit LivePolicy(std::shared_ptr<const Policy> first)
      : current_(std::move(first)), counts_every_pull_(current_->counts_every_pull()) {}

  std::shared_ptr<const Policy> current() const {
    const std::lock_guard lock(mutex_);
    return current_;
  }
  void replace(std::shared_ptr<const Policy> next) {
    const std::lock_guard lock(mutex_);
    current_ = std::move(next);
    counts_every_pull_ = current_->counts_every_pull();
  }
  // Asked with every pull: takes the lock only where some do not count.
  bool counts_pulls_of(std::string_view principal) const {
    return counts_every_pull_.load(std::memory_order_relaxed) || current()->counts_pulls_of(principal);
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const Policy> current_;
  std::atomic<bool> counts_every_pull_;
};

}  // namespace stele::policy
