#pragma once
// A fixed number of threads for work that blocks: the `disk`, `bulk` and `db` pools of docs/architecture.md.
// What waits in the queue is bounded by the callers: a connection has at most two jobs under way.

#include <functional>
#include <memory>
#include <string>
#include <type_traits>

#include "base/pending.hpp"

namespace stele {

// Thread-safe. The destructor finishes what was queued, then joins.
class ThreadPool {
 public:
  // `niceness`: by how much others go first when the processors are busy, 0 to 19 (setpriority).
  ThreadPool(std::string name, unsigned threads, int niceness = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // Queues `work` at once; await the result. An exception of the work is rethrown in the awaiter.
  template <class F>
  auto start(F work) {
    using T = std::invoke_result_t<F&>;
    Completion<T> completion;
    auto pending = completion.pending();
    enqueue([completion, work = std::move(work)]() mutable {
      std::exception_ptr failure;
      try {
        if constexpr (std::is_void_v<T>) {
          work();
          completion.set();
        } else {
          completion.set(work());
        }
      } catch (...) {
        failure = std::current_exception();
      }
      // Outside the handler, which would keep the exception alive on this thread.
      if (failure) completion.fail(std::move(failure));
    });
    return pending;
  }

  // For work whose end nobody awaits; it must not throw.
  void enqueue(std::function<void()> work);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace stele
