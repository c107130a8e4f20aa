#pragma once
// The thread on which mirrors' work continues that no single request owns: a fetch goes on when its client
// leaves.

#include <chrono>
#include <condition_variable>
#include <coroutine>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

#include "base/task.hpp"

namespace stele::mirror {

// Thread-safe. The destructor waits until every task has ended: whatever they wait for has to end by itself,
// or to have been ended before.
class MirrorThread final : public Executor {
 public:
  MirrorThread();
  ~MirrorThread() override;
  MirrorThread(const MirrorThread&) = delete;
  MirrorThread& operator=(const MirrorThread&) = delete;

  void post(std::coroutine_handle<>) override;
  // Runs the task here. An exception that leaves it ends the program: catch inside.
  void start(Task<void> task);

  // Of the tasks that run here: true after this time, false at once when sleeps were ended.
  Task<bool> sleep(std::chrono::milliseconds time);
  // Ends every sleep, now and from now on: for a stop.
  void end_sleeps();

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Sleep;
  Task<void> run(Task<void> task);
  void loop();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::coroutine_handle<>> ready_;
  std::multimap<Time, std::coroutine_handle<>> asleep_;
  bool awake_ = false;  // nobody sleeps any more
  std::size_t active_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace stele::mirror
