#pragma once
// Task<T>: a coroutine that starts when awaited and resumes its awaiter when it ends (symmetric transfer, no
// allocation but the frame). Executor: where a coroutine continues after something else (a pool, the writer)
// has completed it.
//
// A suspended Task is never destroyed: what ends a connection early is a failed read, not a vanished frame.
// Spans and references that a Task was given therefore live until it returns.
//
// House rule (docs/decisions/001): in a full expression with co_await no owning aggregate is
// brace-initialised, no lambda has owning captures and no ?: has class type. Name them first.

#include <atomic>
#include <condition_variable>
#include <coroutine>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <utility>

namespace stele {

// Runs coroutine handles on its thread (or threads). post() is thread-safe and does not run the handle
// inline.
class Executor {
 public:
  virtual ~Executor() = default;
  virtual void post(std::coroutine_handle<>) = 0;

  // The executor whose thread this is; null on threads that run no coroutines.
  static Executor* current() { return current_; }

 protected:
  // Marks the calling thread as this executor's for as long as the scope lives.
  class Scope {
   public:
    explicit Scope(Executor& executor) : previous_(std::exchange(current_, &executor)) {}
    ~Scope() { current_ = previous_; }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Executor* previous_;
  };

 private:
  static inline thread_local Executor* current_ = nullptr;
};

template <class T>
class Task;

namespace detail {

struct TaskPromiseBase {
  std::coroutine_handle<> continuation = std::noop_coroutine();
  std::exception_ptr exception;

  std::suspend_always initial_suspend() noexcept { return {}; }
  struct Final {
    bool await_ready() noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) noexcept {
      return self.promise().continuation;
    }
    void await_resume() noexcept {}
  };
  Final final_suspend() noexcept { return {}; }
  void unhandled_exception() { exception = std::current_exception(); }
};

template <class T>
struct TaskPromise : TaskPromiseBase {
  std::optional<T> value;
  Task<T> get_return_object();
  template <class U>
  void return_value(U&& result) {
    value.emplace(std::forward<U>(result));
  }
  T take() {
    if (exception) std::rethrow_exception(exception);
    return std::move(*value);
  }
};

template <>
struct TaskPromise<void> : TaskPromiseBase {
  Task<void> get_return_object();
  void return_void() {}
  void take() {
    if (exception) std::rethrow_exception(exception);
  }
};

}  // namespace detail

template <class T>
class [[nodiscard]] Task {
 public:
  using promise_type = detail::TaskPromise<T>;

  explicit Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&&) = delete;
  Task(const Task&) = delete;
  ~Task() {
    if (handle_) handle_.destroy();
  }

  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiter) noexcept {
    handle_.promise().continuation = awaiter;
    return handle_;
  }
  T await_resume() { return handle_.promise().take(); }

 private:
  std::coroutine_handle<promise_type> handle_;
};

namespace detail {

template <class T>
Task<T> TaskPromise<T>::get_return_object() {
  return Task<T>(std::coroutine_handle<TaskPromise<T>>::from_promise(*this));
}
inline Task<void> TaskPromise<void>::get_return_object() {
  return Task<void>(std::coroutine_handle<TaskPromise<void>>::from_promise(*this));
}

// A coroutine nobody awaits: it starts at once and frees itself.
struct Detached {
  struct promise_type {
    Detached get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    [[noreturn]] void unhandled_exception() { std::terminate(); }
  };
};

}  // namespace detail

// Starts a task on the calling thread without waiting for it. An exception that leaves it ends the program:
// catch inside.
inline detail::Detached spawn(Task<void> task) {
  co_await std::move(task);
}

// Runs a task to its end on the calling thread: for tests, tools and start-up, never on an I/O thread.
template <class T>
T sync_wait(Task<T> task) {
  class Loop final : public Executor {
   public:
    void post(std::coroutine_handle<> handle) override {
      const std::lock_guard lock(mutex_);
      ready_.push_back(handle);
      changed_.notify_one();
    }
    void run_until(const bool& done) {
      const Scope scope(*this);
      while (!done) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return !ready_.empty(); });
        const auto handle = ready_.front();
        ready_.pop_front();
        lock.unlock();
        handle.resume();
      }
    }
    void start(Task<void> body) {
      const Scope scope(*this);
      spawn(std::move(body));
    }

   private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::coroutine_handle<>> ready_;
  };

  Loop loop;
  bool done = false;
  std::exception_ptr failure;
  if constexpr (std::is_void_v<T>) {
    const auto body = [](Task<T>& inner, bool& ended, std::exception_ptr& error) -> Task<void> {
      try {
        co_await inner;
      } catch (...) {
        error = std::current_exception();
      }
      ended = true;
    };
    loop.start(body(task, done, failure));
    loop.run_until(done);
    if (failure) std::rethrow_exception(failure);
  } else {
    std::optional<T> value;
    const auto body = [](Task<T>& inner, std::optional<T>& out, bool& ended,
                         std::exception_ptr& error) -> Task<void> {
      try {
        out.emplace(co_await inner);
      } catch (...) {
        error = std::current_exception();
      }
      ended = true;
    };
    loop.start(body(task, value, done, failure));
    loop.run_until(done);
    if (failure) std::rethrow_exception(failure);
    return std::move(*value);
  }
}

}  // namespace stele
