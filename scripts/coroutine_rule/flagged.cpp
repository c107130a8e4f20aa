// Each line that ends in "// flagged" breaks the rule, and check_coroutines.sh expects a finding on it.
#include "fixture.hpp"

Task<int> aggregate() {
  co_await take(Aggregate{"a", 1});  // flagged
  co_return 0;
}

Task<int> implicit_aggregate() {
  co_await take({"a", 1});  // flagged
  co_return 0;
}

Task<int> around() {
  Aggregate made{co_await text(), 1};  // flagged
  co_return made.number;
}

Task<int> lambda(std::string name) {
  co_return co_await call([name] { return name.size(); });  // flagged
}

Task<int> conditional(bool first, std::string a, std::string b) {
  co_await take_class(first ? WithConstructor(a) : WithConstructor(b));  // flagged
  co_return 0;
}

Task<int> list(std::string a) {
  co_await take_list({a, "b"});  // flagged
  co_return 0;
}

Task<Aggregate> returned() {
  co_return Aggregate{"a", 1};  // flagged
}

Task<int> defaulted(Aggregate value = {"a", 1});  // flagged

Task<int> condition() {
  if (co_await number()) co_return 1;  // flagged
  co_return 0;
}

Task<int> conditions(bool first) {
  if (first) co_return 2;
  while (!co_await number()) co_await text();  // flagged
  do {                                         // flagged
    co_await text();
  } while (!co_await number());
  for (; first && co_await number();) first = false;  // flagged
  switch (co_await number()) {                        // flagged
    default:
      co_return 0;
  }
}

void starts_a_condition(int other) {
  int outside = other;
  spawn([](int value) -> Task<int> {
    if (co_await number()) co_return value;  // flagged
    co_return 0;
  }(outside));
}
