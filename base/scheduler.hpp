#pragma once
// What has to happen now and then beside the requests: jobs, each with a name, a time and a thread of its
// own, so that none delays another and all can be asked how they stand.

#include <chrono>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace stele {

struct JobStatus {
  std::string name;
  bool running = false;
  std::uint64_t runs = 0;  // that ended
  std::uint64_t failures = 0;
  std::optional<Timestamp> begun;  // the last one, perhaps still under way
  std::optional<Timestamp> ended;  // the last one that ended
  std::optional<Timestamp> succeeded;
  Timestamp next;       // by the clock as it is now
  double seconds = 0;   // that the last one took
  std::string problem;  // of the last one that ended; empty: none
};

// Thread-safe. Times are kept by the steady clock and shown by `clock`, which must outlive the scheduler.
class Scheduler {
 public:
  struct Job {
    std::string name;
    std::chrono::seconds first;  // after the start
    std::chrono::seconds every;  // from one's end to the next one's begin
    // May block. One that takes long asks its token, and ends soon when a stop was requested.
    std::function<Result<void>(const std::stop_token&)> work;
  };

  Scheduler(std::vector<Job> jobs, const Clock& clock);
  // Asks all to stop, then waits for those under way.
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // In the order of the jobs.
  std::vector<JobStatus> status() const;

 private:
  class Runner;
  std::list<std::unique_ptr<Runner>> runners_;
};

}  // namespace stele
