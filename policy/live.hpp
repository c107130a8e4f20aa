#pragma once
// The policy in force. Thread-safe: readers keep the one they took, however often it is replaced.

#include <memory>
#include <mutex>

#include "policy/rules.hpp"

namespace stele::policy {

class LivePolicy {
 public:
  explicit LivePolicy(std::shared_ptr<const Policy> first) : current_(std::move(first)) {}

  std::shared_ptr<const Policy> current() const {
    const std::lock_guard lock(mutex_);
    return current_;
  }
  void replace(std::shared_ptr<const Policy> next) {
    const std::lock_guard lock(mutex_);
    current_ = std::move(next);
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const Policy> current_;
};

}  // namespace stele::policy
