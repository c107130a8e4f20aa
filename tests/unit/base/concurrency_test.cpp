#include <atomic>
#include <memory>
#include <thread>

#include "base/keyed_mutex.hpp"
#include "base/pending.hpp"
#include "base/task.hpp"
#include "base/thread_pool.hpp"
#include "tests/support/catch.hpp"

namespace stele {
namespace {

TEST_CASE("base: a pool's result comes back to the coroutine that waits, and so does an exception") {
  ThreadPool pool("test", 4);
  const auto add = [&](int a, int b) -> Task<int> {
    auto pending = pool.start([a, b] { return a + b; });
    co_return co_await pending;
  };
  for (int i = 0; i < 2000; ++i) REQUIRE(sync_wait(add(i, 1)) == i + 1);
  const auto fail = [&]() -> Task<void> {
    auto pending = pool.start([]() -> int { throw std::runtime_error("out"); });
    co_await pending;
  };
  CHECK_THROWS_WITH(sync_wait(fail()), "out");
}

TEST_CASE("base: a Pending that is done before it is awaited is not waited for") {
  Completion<int> completion;
  auto pending = completion.pending();
  completion.set(7);
  const auto wait = [&]() -> Task<int> { co_return co_await pending; };
  CHECK(sync_wait(wait()) == 7);
}

TEST_CASE("base: whichever of completion and waiting comes first, on 64 threads at once") {
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int i = 0; i < 32; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 100; ++n) {
        Completion<std::string> completion;
        auto pending = completion.pending();
        // Begins at about the time at which the other begins to wait.
        std::thread other(
            [&completion, n] { completion.set("a string that owns its memory " + std::to_string(n)); });
        const auto wait = [&]() -> Task<std::string> { co_return co_await pending; };
        if (sync_wait(wait()) != "a string that owns its memory " + std::to_string(n)) ++wrong;
        other.join();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(wrong == 0);
}

TEST_CASE("base: a pool that goes has done what was queued, and lets captures go") {
  std::atomic<int> done{0};
  const auto witness = std::make_shared<int>();
  {
    ThreadPool pool("a name that is longer than the kernel takes", 2);
    for (int i = 0; i < 1000; ++i) pool.enqueue([&done, witness] { ++done; });
  }
  CHECK(done == 1000);
  CHECK(witness.use_count() == 1);
}

Task<KeyedMutex::Guard> locked(KeyedMutex& mutex, std::string key) {
  auto guard = co_await mutex.lock(std::move(key));
  co_return guard;
}

TEST_CASE("base: different keys do not wait for each other, and a key's waiters come in order") {
  KeyedMutex mutex;
  const auto held = sync_wait(locked(mutex, "a"));
  const auto other = [&]() -> Task<void> { const auto guard = co_await mutex.lock("b"); };
  sync_wait(other());  // would not return

  auto first = sync_wait(locked(mutex, "c"));
  std::vector<int> order;
  ThreadPool pool("test", 1);
  const auto waiter = [&](int number) -> Task<void> {
    const auto guard = co_await mutex.lock("c");
    order.push_back(number);
  };
  const auto all = [&]() -> Task<void> {
    for (int number = 0; number < 5; ++number) spawn(waiter(number));
    first.release();
    const auto guard = co_await mutex.lock("c");  // the last in the queue
  };
  sync_wait(all());
  CHECK(order == std::vector<int>{0, 1, 2, 3, 4});
}

TEST_CASE("base: the lock of a key is held by one at a time, and each waiter gets it") {
  KeyedMutex mutex;
  ThreadPool pool("test", 8);
  int inside = 0;
  int worst = 0;
  int total = 0;
  const auto work = [&](int key) -> Task<void> {
    for (int i = 0; i < 200; ++i) {
      auto guard = co_await mutex.lock("key" + std::to_string(key));
      worst = std::max(worst, ++inside);
      ++total;
      auto pause = pool.start([] { std::this_thread::yield(); });
      co_await pause;
      --inside;
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) threads.emplace_back([&] { sync_wait(work(0)); });
  for (auto& thread : threads) thread.join();
  CHECK(worst == 1);
  CHECK(total == 1600);
  // Nobody has it any more: it would not return.
  sync_wait(locked(mutex, "key0")).release();
}

}  // namespace
}  // namespace stele
