#pragma once
// The thread on which the collector works, and erases what has been in the trash for long enough: beside
// everything else, at a pace that leaves the disk and the writer to those who push, and at rest when an
// administrator says so.

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "audit/event_log.hpp"
#include "gc/collector.hpp"
#include "gc/pause.hpp"
#include "registry/trash.hpp"

namespace stele::gc {

struct CollectionStatus {
  bool settling = false;              // everything counts as leased, for one lease after the start
  std::optional<std::string> paused;  // since when, by whom and why
  std::int64_t queued = 0;            // counted up to most_counted, as are those due
  std::int64_t due = 0;
  std::optional<Timestamp> next;  // the earliest review
  Collected total;                // since the start
  double seconds = 0;             // spent on it
  std::string problem;            // of the last step, if it failed
  catalog::TrashSize trash;       // of the first most_counted items
  ErasedDue erased;               // since the start, because their time in the trash was over
};

// Thread-safe.
class Worker {
 public:
  static constexpr std::int64_t most_counted = 1'000'000;

  explicit Worker(const RegistryContext& context, CollectorSettings settings = {});
  // Waits for the step under way.
  ~Worker();

  // Counts the queue: for administrators.
  Result<CollectionStatus> status() const;
  // The counts are up to half a minute old: for metrics.
  CollectionStatus progress() const;

  // Kept in the catalog: a restart changes nothing. parameter_invalid when it is so already.
  Task<Result<void>> pause(std::string reason, audit::Actor);
  Task<Result<void>> resume(audit::Actor);

 private:
  void run();
  // How long to wait before the next step.
  std::chrono::milliseconds work();
  void count_now_and_then();
  bool paused() const;
  // One batch of the trash, when the collector has nothing to do. Whether there was one.
  Result<bool> erase_due();

  const RegistryContext context_;
  const Pause pause_;
  Collector collector_;
  const Trash trash_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  CollectionStatus progress_;
  std::chrono::steady_clock::time_point next_count_{};  // of the thread alone
  std::thread thread_;
};

}  // namespace stele::gc
