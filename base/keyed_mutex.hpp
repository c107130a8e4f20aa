#pragma once
// Mutual exclusion per key for coroutines: the lock per digest of docs/architecture.md, "Deletion".

#include <coroutine>
#include <deque>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/task.hpp"

namespace stele {

// Thread-safe; first come, first served per key. Costs nothing for keys that nobody holds.
class KeyedMutex {
 public:
  class [[nodiscard]] Guard {
   public:
    Guard() = default;
    Guard(KeyedMutex* owner, std::string key) : owner_(owner), key_(std::move(key)) {}
    Guard(Guard&& other) noexcept
        : owner_(std::exchange(other.owner_, nullptr)), key_(std::move(other.key_)) {}
    Guard& operator=(Guard&& other) noexcept {
      if (this != &other) {
        release();
        owner_ = std::exchange(other.owner_, nullptr);
        key_ = std::move(other.key_);
      }
      return *this;
    }
    ~Guard() { release(); }
    void release() {
      if (owner_) std::exchange(owner_, nullptr)->unlock(key_);
    }

   private:
    KeyedMutex* owner_ = nullptr;
    std::string key_;
  };

  class Awaiter {
   public:
    Awaiter(KeyedMutex& owner, std::string key) : owner_(owner), key_(std::move(key)) {}
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> awaiter) {
      const std::lock_guard lock(owner_.mutex_);
      auto [entry, inserted] = owner_.locked_.try_emplace(key_);
      if (inserted) return false;
      entry->second.push_back(Waiter{awaiter, Executor::current()});
      return true;
    }
    Guard await_resume() { return Guard(&owner_, std::move(key_)); }

   private:
    KeyedMutex& owner_;
    std::string key_;
  };

  // `auto guard = co_await mutex.lock(key);` Continues on the awaiter's executor.
  Awaiter lock(std::string key) { return Awaiter(*this, std::move(key)); }

 private:
  struct Waiter {
    std::coroutine_handle<> handle;
    Executor* executor;
  };

  void unlock(const std::string& key) {
    const std::lock_guard lock(mutex_);
    const auto entry = locked_.find(key);
    if (entry->second.empty()) {
      locked_.erase(entry);
      return;
    }
    const Waiter next = entry->second.front();
    entry->second.pop_front();
    next.executor->post(next.handle);
  }

  std::mutex mutex_;
  std::unordered_map<std::string, std::deque<Waiter>> locked_;
};

}  // namespace stele
