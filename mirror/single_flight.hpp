#pragma once
// One piece of work per key however many ask for it: whoever comes while it runs waits for its result.

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "base/pending.hpp"
#include "base/result.hpp"
#include "mirror/mirror_thread.hpp"

namespace stele::mirror {

// Thread-safe. T is copyable. Destroyed after the thread that it works on has ended its tasks.
template <class T>
class SingleFlight {
 public:
  // Copying a Result<bool> that can be changed makes a success of its error: it is taken for a bool.
  static_assert(!std::is_same_v<T, bool>);
  explicit SingleFlight(MirrorThread& thread) : thread_(thread) {}

  // `work` runs on the mirrors' thread and goes on whatever becomes of those who wait.
  // `joined`: set when the work was somebody else's.
  Task<Result<T>> run(std::string key, std::function<Task<Result<T>>()> work, bool* joined = nullptr) {
    std::shared_ptr<Call> mine;
    bool first = false;
    {
      const std::lock_guard lock(mutex_);
      std::shared_ptr<Call>& slot = calls_[key];
      if (!slot) {
        slot = std::make_shared<Call>();
        first = true;
      }
      mine = slot;
    }
    if (joined) *joined = !first;
    if (first) thread_.start(lead(mine, std::move(key), std::move(work)));
    for (;;) {
      std::optional<Pending<void>> waiting;
      {
        const std::lock_guard lock(mutex_);
        if (mine->result) co_return *mine->result;
        Completion<void> completion;
        waiting.emplace(completion.pending());
        mine->waiters.push_back(completion);
      }
      co_await *waiting;
    }
  }

 private:
  struct Call {
    std::optional<Result<T>> result;
    std::vector<Completion<void>> waiters;
  };

  Task<void> lead(std::shared_ptr<Call> mine, std::string key, std::function<Task<Result<T>>()> work) {
    std::optional<Result<T>> result;
    std::string failure;
    try {
      Task<Result<T>> task = work();
      result.emplace(co_await std::move(task));
    } catch (const std::exception& e) {
      failure = e.what();
    }
    if (!result) result.emplace(Error(Errc::internal, "the mirror failed: " + failure));
    std::vector<Completion<void>> waiters;
    {
      const std::lock_guard lock(mutex_);
      mine->result = std::move(result);
      waiters.swap(mine->waiters);
      calls_.erase(key);
    }
    for (Completion<void>& waiter : waiters) waiter.set();
  }

  MirrorThread& thread_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Call>> calls_;
};

}  // namespace stele::mirror
