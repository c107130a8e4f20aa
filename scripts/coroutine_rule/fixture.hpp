#pragma once
// What flagged.cpp and accepted.cpp share: a minimal coroutine type, an owning aggregate and functions that
// take it.
#include <coroutine>
#include <initializer_list>
#include <string>

template <class T>
struct Task {
  struct promise_type {
    Task get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    template <class U>
    void return_value(U&&) {}
    void unhandled_exception() {}
  };
  bool await_ready() { return true; }
  void await_suspend(std::coroutine_handle<>) {}
  T await_resume() { return T(); }
};

struct Aggregate {
  std::string name;
  int number = 0;
};

class WithConstructor {
 public:
  WithConstructor(std::string name = {}, int number = 0) : name_(std::move(name)), number_(number) {}

 private:
  std::string name_;
  int number_;
};

Task<int> take(Aggregate);
Task<int> take_class(WithConstructor);
Task<std::string> text();
Task<int> number();
template <class F>
Task<int> call(F) {
  co_return 1;
}
Task<int> take_list(std::initializer_list<std::string>);
void spawn(Task<int>);
