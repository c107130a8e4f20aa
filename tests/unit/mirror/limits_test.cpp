// What a mirror takes at most: how fast, and how many blobs at once.

#include <vector>

#include "base/task.hpp"
#include "mirror/fetch_slots.hpp"
#include "mirror/pace.hpp"
#include "tests/support/catch.hpp"

namespace stele::mirror {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST_CASE("mirror pace: without a rate nobody waits") {
  Pace pace(0);
  for (int i = 0; i < 100; ++i) CHECK(pace.after(1 << 20, Pace::Time(seconds(1))) == milliseconds(0));
}

TEST_CASE("mirror pace: fetches that take turns are together as fast as the rate, whatever the pieces") {
  for (const std::uint64_t piece : {1ULL, 1000ULL, 65'536ULL, 262'144ULL, 5'000'000ULL}) {
    Pace pace(1'000'000);
    const Pace::Time begun(seconds(1000));
    Pace::Time now = begun;
    std::uint64_t taken = 0;
    while (taken < 10'000'000) {
      now += pace.after(piece, now);
      taken += piece;
    }
    // What is owed in short pauses is paid with the next ones.
    const auto fair = milliseconds(taken / 1000);
    INFO(piece);
    CHECK(now - begun <= fair);
    CHECK(now - begun >= fair - milliseconds(40));
  }
}

TEST_CASE("mirror pace: a time without bytes is not saved up, and a small rate is kept too") {
  Pace pace(1000);
  Pace::Time now(seconds(1000));
  CHECK(pace.after(1000, now) == milliseconds(1000));
  now += seconds(3600);
  CHECK(pace.after(1000, now) == milliseconds(1000));
  CHECK(pace.after(500, now) == milliseconds(1500));
  Pace slowest(1);
  CHECK(slowest.after(262'144, now) == seconds(262'144));
}

struct Turns {
  Task<void> wait(int number) {
    auto turn = slots.take();
    held.push_back(co_await std::move(turn));
    order.push_back(number);
  }
  // Runs where it is completed: everything here is one thread.
  struct Inline final : Executor {
    using Executor::Scope;
    void post(std::coroutine_handle<> handle) override { handle.resume(); }
  };
  Inline here;
  FetchSlots slots{2};
  std::vector<FetchSlots::Slot> held;
  std::vector<int> order;
};

TEST_CASE("mirror fetches: so many at once, the others in the order in which they asked") {
  Turns turns;
  turns.held.reserve(8);
  const Turns::Inline::Scope scope(turns.here);
  for (int number = 1; number <= 5; ++number) spawn(turns.wait(number));
  CHECK(turns.order == std::vector{1, 2});
  CHECK(turns.slots.waiting() == 3);
  turns.held[0] = {};
  CHECK(turns.order == std::vector{1, 2, 3});
  turns.held[1] = {};
  turns.held[2] = {};
  CHECK(turns.order == std::vector{1, 2, 3, 4, 5});
  CHECK(turns.slots.waiting() == 0);
  turns.held.clear();
  for (int number = 6; number <= 8; ++number) spawn(turns.wait(number));
  CHECK(turns.order == std::vector{1, 2, 3, 4, 5, 6, 7});
  turns.held.front() = {};
  CHECK(turns.order.back() == 8);
}

}  // namespace
}  // namespace stele::mirror
