#pragma once
// Pending<T>: the result of work that already runs elsewhere, awaited once by one coroutine, which continues
// on its own executor. Completion<T> is the other end.

#include <atomic>
#include <coroutine>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "base/task.hpp"

namespace stele {

namespace detail {

template <class T>
struct PendingState {
  using Value = std::conditional_t<std::is_void_v<T>, std::monostate, T>;
  std::optional<Value> value;
  std::exception_ptr exception;
  Executor* executor = nullptr;
  // null: running; `finished()`: done; otherwise the address of the waiting coroutine.
  std::atomic<void*> waiter{nullptr};

  static void* finished() { return reinterpret_cast<void*>(1); }
  void finish() {
    void* waiting = waiter.exchange(finished(), std::memory_order_acq_rel);
    if (waiting) executor->post(std::coroutine_handle<>::from_address(waiting));
  }
};

}  // namespace detail

// Memory that the running work uses must outlive it: await the Pending before letting go of that memory.
template <class T>
class [[nodiscard]] Pending {
 public:
  explicit Pending(std::shared_ptr<detail::PendingState<T>> state) : state_(std::move(state)) {}

  bool await_ready() const noexcept {
    return state_->waiter.load(std::memory_order_acquire) == detail::PendingState<T>::finished();
  }
  bool await_suspend(std::coroutine_handle<> awaiter) noexcept {
    state_->executor = Executor::current();
    void* running = nullptr;
    return state_->waiter.compare_exchange_strong(running, awaiter.address(), std::memory_order_acq_rel);
  }
  T await_resume() {
    // Moved out: the exception then ends in the awaiter's thread alone.
    if (state_->exception) std::rethrow_exception(std::exchange(state_->exception, nullptr));
    if constexpr (!std::is_void_v<T>) return std::move(*state_->value);
  }

 private:
  std::shared_ptr<detail::PendingState<T>> state_;
};

// Completes a Pending exactly once, from any thread. Copyable so that it fits into std::function.
template <class T>
class Completion {
 public:
  Completion() : state_(std::make_shared<detail::PendingState<T>>()) {}
  Pending<T> pending() const { return Pending<T>(state_); }

  template <class... U>
  void set(U&&... value) {
    state_->value.emplace(std::forward<U>(value)...);
    state_->finish();
  }
  void fail(std::exception_ptr exception) {
    state_->exception = std::move(exception);
    state_->finish();
  }

 private:
  std::shared_ptr<detail::PendingState<T>> state_;
};

}  // namespace stele
