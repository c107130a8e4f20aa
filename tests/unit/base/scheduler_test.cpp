// Jobs: none delays another, a stop delays none, and each says how it stands.

#include "base/scheduler.hpp"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "tests/support/catch.hpp"

namespace stele {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

class FixedClock final : public Clock {
 public:
  Timestamp now() const override { return {1'000'000'000}; }
};

// Opened once, waited for by any number.
class Gate {
 public:
  void open() {
    {
      const std::lock_guard lock(mutex_);
      open_ = true;
    }
    changed_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
};

TEST_CASE("scheduler: a job that takes long delays no other") {
  const FixedClock clock;
  Gate begun, others;
  std::atomic<int> quick{0};
  Scheduler scheduler({{"long", seconds(0), hours(1),
                        [&](const std::stop_token&) -> Result<void> {
                          begun.open();
                          others.wait();
                          return {};
                        }},
                       {"quick", seconds(0), seconds(0),
                        [&](const std::stop_token&) -> Result<void> {
                          begun.wait();
                          if (++quick == 3) others.open();
                          return {};
                        }}},
                      clock);
  others.wait();  // three of the quick one while the long one was at work
  CHECK(quick >= 3);
}

TEST_CASE("scheduler: a stop is seen by the job under way, and waits for no time that is to come") {
  const FixedClock clock;
  Gate begun;
  std::atomic<bool> asked{false};
  {
    const Scheduler scheduler(
        {{"obedient", seconds(0), hours(1),
          [&](const std::stop_token& stop) -> Result<void> {
            begun.open();
            while (!stop.stop_requested()) std::this_thread::yield();
            asked = true;
            return {};
          }},
         {"later", hours(1), hours(1), [](const std::stop_token&) -> Result<void> { return {}; }}},
        clock);
    begun.wait();
  }
  CHECK(asked);
}

TEST_CASE("scheduler: a job says when it ran, what went wrong and when it runs next") {
  const FixedClock clock;
  Gate once, twice, thrown;
  std::atomic<int> runs{0};
  Scheduler scheduler(
      {{"first fails", seconds(0), seconds(0),
        [&](const std::stop_token&) -> Result<void> {
          const int run = ++runs;
          if (run == 1) return Error(Errc::io, "the disk is on fire");
          once.open();
          twice.wait();
          if (run == 2) throw std::runtime_error("thrown");
          thrown.open();
          return {};
        }},
       {"not yet", seconds(90), hours(1), [](const std::stop_token&) -> Result<void> { return {}; }}},
      clock);
  once.wait();  // the second run is under way
  auto status = scheduler.status();
  REQUIRE(status.size() == 2);
  CHECK(status[0].name == "first fails");
  CHECK(status[0].running);
  CHECK(status[0].runs == 1);
  CHECK(status[0].failures == 1);
  CHECK(status[0].problem == "the disk is on fire");
  CHECK_FALSE(status[0].succeeded);
  CHECK(status[0].ended == Timestamp{1'000'000'000});
  CHECK(status[1].runs == 0);
  CHECK_FALSE(status[1].begun);
  CHECK(status[1].next > Timestamp{1'000'000'000});
  CHECK(status[1].next <= Timestamp{1'090'000'000});
  twice.open();
  thrown.wait();  // the third one
  status = scheduler.status();
  CHECK(status[0].failures == 2);
  CHECK(status[0].problem == (status[0].runs == 2 ? "thrown" : ""));
}

}  // namespace
}  // namespace stele
