#pragma once
// The policy in force. Thread-safe: readers keep the one they took, however often it is replaced.
//
// While the record of a new one is being committed there are two: whoever reads goes by current(), and write
// closures go by deciding(), since what they write is committed together with that record or not at all (I3).

#include <atomic>
#include <memory>
#include <mutex>
#include <utility>

#include "policy/rules.hpp"

namespace stele::policy {

class LivePolicy {
 public:
  explicit LivePolicy(std::shared_ptr<const Policy> first)
      : current_(std::move(first)),
        deciding_(current_),
        counts_every_pull_(current_->counts_every_pull()),
        has_access_rules_(current_->access() != nullptr) {}

  std::shared_ptr<const Policy> current() const {
    const std::lock_guard lock(mutex_);
    return current_;
  }
  // For write closures: the policy that the closure before may have put into this transaction.
  std::shared_ptr<const Policy> deciding() const {
    const std::lock_guard lock(mutex_);
    return deciding_;
  }
  // On the writer's thread: later closures decide by `next`; the one that was put aside is returned.
  std::shared_ptr<const Policy> decide_by(std::shared_ptr<const Policy> next) {
    const std::lock_guard lock(mutex_);
    return std::exchange(deciding_, std::move(next));
  }
  void replace(std::shared_ptr<const Policy> next) {
    const std::lock_guard lock(mutex_);
    current_ = std::move(next);
    deciding_ = current_;
    counts_every_pull_ = current_->counts_every_pull();
    has_access_rules_ = current_->access() != nullptr;
  }
  // Of current(), or null when it has none. Asked with every request: takes the lock only where there are
  // some.
  std::shared_ptr<const AccessRules> access() const {
    return has_access_rules_.load(std::memory_order_relaxed) ? current()->access() : nullptr;
  }
  // Asked with every pull: takes the lock only where some do not count.
  bool counts_pulls_of(std::string_view principal, std::string_view agent = {}) const {
    return counts_every_pull_.load(std::memory_order_relaxed) || current()->counts_pulls_of(principal, agent);
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const Policy> current_;
  std::shared_ptr<const Policy> deciding_;
  std::atomic<bool> counts_every_pull_;
  std::atomic<bool> has_access_rules_;
};

}  // namespace stele::policy
