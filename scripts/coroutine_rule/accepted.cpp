// Nothing here breaks the rule: check_coroutines.sh expects no finding.
#include "fixture.hpp"

Task<int> named_first(std::string name, bool first) {
  Aggregate value{"a", 1};
  co_await take(value);
  auto work = [name] { return name.size(); };
  co_await call(work);
  co_await call([&name] { return name.size(); });  // captures a reference: owns nothing
  auto chosen = first ? WithConstructor("a") : WithConstructor("b");
  co_await take_class(chosen);
  co_await take_class(WithConstructor("a", 1));  // a class with a constructor is safe
  co_return first ? 1 : 2;
}

// A coroutine lambda inside an ordinary expression: its co_await belongs to the lambda.
void starts(std::string name) {
  Aggregate value{"a", 1};
  spawn([](Aggregate inner) -> Task<int> { co_return co_await take(inner); }(Aggregate{name, 1}));
}

Task<int> defaulted(WithConstructor value = {"a", 1}, int number = 1);

// A condition awaits, and something is declared: before it, in it, elsewhere.
Task<int> declared_before(int other) {
  int value = other;
  if (co_await number()) co_return value;
  co_return 0;
}

Task<int> declared_in_it() {
  if (const int value = co_await number(); value > 1) co_return value;
  co_return 0;
}

Task<int> declared_elsewhere(bool first) {
  if (first) {
    const int value = 1;
    co_return value;
  }
  while (!co_await number()) co_await text();
  co_return 0;
}

Task<int> in_a_statement_of_its_own() {
  const int value = co_await number();
  if (value) co_return value;
  co_await number();
  co_return co_await number() ? 1 : 2;
}
