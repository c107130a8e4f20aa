#include "http/memory_budget.hpp"

#include <cstdlib>
#include <thread>
#include <vector>

#include "tests/support/catch.hpp"

namespace stele::http {
namespace {

constexpr std::size_t kilobyte = 1024, megabyte = 1024 * kilobyte;

TEST_CASE("http: parts of the memory budget end where it ends, and come back (I10)") {
  MemoryBudget budget(megabyte);
  {
    MemoryBudget::Part one(budget), two(budget), small(budget);
    CHECK(one.grow_to(500 * kilobyte));
    CHECK_FALSE(two.grow_to(500 * kilobyte));
    CHECK(budget.used() == 500 * kilobyte);
    CHECK(two.grow_to(200 * kilobyte));
    // Three quarters are spent on large ones: the rest is for the small.
    CHECK_FALSE(two.grow_to(300 * kilobyte));
    CHECK(small.grow_to(64 * kilobyte));
    CHECK(one.grow_to(100 * kilobyte));  // it has them
    CHECK(budget.used() == 764 * kilobyte);
  }
  CHECK(budget.used() == 0);
}

TEST_CASE("http: equal texts are in memory once, for as long as somebody holds them (I10)") {
  MemoryBudget budget(megabyte);
  const std::string text(400 * kilobyte, 'x');
  auto first = budget.share("a", text), second = budget.share("a", text);
  REQUIRE(first);
  CHECK(first == second);
  CHECK(budget.used() == text.size());
  CHECK_FALSE(budget.share("b", text));
  first.reset();
  CHECK(*second == text);
  second.reset();
  CHECK(budget.used() == 0);
  CHECK(budget.share("b", text));
}

TEST_CASE("http: texts are shared and let go by several threads at once") {
  MemoryBudget budget(megabyte);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20'000; ++i) {
        const std::string key = std::to_string(i % 3);
        const auto held = budget.share(key, key);
        if (!held || *held != key) std::abort();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(budget.used() == 0);
}

}  // namespace
}  // namespace stele::http
