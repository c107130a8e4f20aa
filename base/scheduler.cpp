#include "base/scheduler.hpp"

#include <pthread.h>

#include <condition_variable>
#include <mutex>
#include <thread>

namespace stele {

class Scheduler::Runner {
 public:
  Runner(Job job, const Clock& clock)
      : job_(std::move(job)), clock_(clock), due_(Steady::now() + job_.first) {
    status_.name = job_.name;
    thread_ = std::thread([this] { run(); });
    pthread_setname_np(thread_.native_handle(), ("stele-" + job_.name).substr(0, 15).c_str());
  }
  ~Runner() {
    ask_to_stop();
    thread_.join();
  }
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  void ask_to_stop() {
    {
      const std::lock_guard lock(mutex_);
      stop_.request_stop();
    }
    changed_.notify_all();
  }

  JobStatus status() const {
    const std::lock_guard lock(mutex_);
    JobStatus status = status_;
    const auto left = std::chrono::duration_cast<std::chrono::microseconds>(due_ - Steady::now());
    status.next = clock_.now() + std::max<std::int64_t>(left.count(), 0);
    return status;
  }

 private:
  using Steady = std::chrono::steady_clock;

  void run() {
    const std::stop_token token = stop_.get_token();
    std::unique_lock lock(mutex_);
    for (;;) {
      if (changed_.wait_until(lock, due_, [&] { return token.stop_requested(); })) return;
      const auto began = Steady::now();
      status_.running = true;
      status_.begun = clock_.now();
      lock.unlock();
      const std::string problem = once(token);
      const auto ended = Steady::now();
      lock.lock();
      status_.running = false;
      status_.ended = clock_.now();
      status_.seconds = std::chrono::duration<double>(ended - began).count();
      status_.problem = problem;
      ++status_.runs;
      if (problem.empty()) {
        status_.succeeded = status_.ended;
      } else {
        ++status_.failures;
      }
      due_ = ended + job_.every;
    }
  }

  // What went wrong.
  std::string once(const std::stop_token& token) const {
    try {
      const auto done = job_.work(token);
      return done ? std::string() : done.error().message();
    } catch (const std::exception& exception) {
      return exception.what();
    }
  }

  const Job job_;
  const Clock& clock_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::stop_source stop_;
  Steady::time_point due_;
  JobStatus status_;
  std::thread thread_;
};

Scheduler::Scheduler(std::vector<Job> jobs, const Clock& clock) {
  for (Job& job : jobs) runners_.push_back(std::make_unique<Runner>(std::move(job), clock));
}

Scheduler::~Scheduler() {
  // All at once: waiting for one must not keep another at work.
  for (const auto& runner : runners_) runner->ask_to_stop();
}

std::vector<JobStatus> Scheduler::status() const {
  std::vector<JobStatus> all;
  for (const auto& runner : runners_) all.push_back(runner->status());
  return all;
}

}  // namespace stele
