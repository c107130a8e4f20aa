#pragma once
// Lifecycle runs: by the policy's schedule, when an administrator says so, or by a plan that somebody looked
// at. One at a time, on a thread of its own, at a pace that leaves the writer to those who push.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "base/pending.hpp"
#include "gc/lifecycle/departing.hpp"
#include "gc/lifecycle/pace.hpp"
#include "gc/lifecycle/upstream_copies.hpp"

namespace stele::gc {

// What somebody looked at and means: by repository.
struct ApprovedPlan {
  std::string hash;
  std::string policy_hash;
  Timestamp made_at;  // what was used from then on stays
  std::map<std::string, ApprovedItems> items;
  bool may_exceed = false;  // also where max_fraction would stop a run
};

struct RunDetails {
  catalog::RunRow run;
  std::vector<catalog::WaitingRow> waiting;
};

// Since the start; for metrics.
struct LifecycleStatus {
  bool running = false;
  std::uint64_t runs = 0;
  std::uint64_t kept = 0;  // verdicts of all runs
  std::uint64_t expired = 0;
  std::uint64_t blocked = 0;
  std::uint64_t removed = 0;  // manifests
  std::uint64_t untagged = 0;
  std::uint64_t survived = 0;
  double seconds = 0;
  std::size_t waiting = 0;        // runs that wait for somebody's decision
  std::optional<Timestamp> next;  // by schedule
  std::string problem;            // of the last run, if it failed
};

struct RunSettings {
  // Manifests of one transaction: gc/lifecycle/pace.hpp.
  std::size_t batch = Pace::size_alone;
  std::size_t batch_beside_others = Pace::size_beside_others;
  std::chrono::milliseconds look_at_schedule{5000};
};

// Thread-safe. Calls that return a Task continue on the caller's executor.
class LifecycleRuns {
 public:
  // Runs that a crash interrupted are marked so. What they left is due again at the next one.
  // What upstream lost stays in `mirrored`, and all of it while upstream cannot be asked; it is asked between
  // transactions, on the thread of runs.
  explicit LifecycleRuns(const RegistryContext& context, RunSettings settings = {},
                         MirroredRepositories mirrored = {});
  ~LifecycleRuns();

  // Waits for the transaction under way; its run is marked as interrupted, and none begins any more.
  void stop();

  // All of these: unavailable while another run is under way, within one lease of the start, or while
  // collection is paused; the run's end otherwise, also one that waits, failed or was interrupted.

  // What the schedule would do, now.
  Task<Result<RunDetails>> run(audit::Actor);
  // parameter_invalid: it was made by another policy than the one in force, or later than now.
  Task<Result<RunDetails>> apply(ApprovedPlan, audit::Actor);
  // Carries out what waits in a run: not_found, parameter_invalid when nothing does.
  Task<Result<RunDetails>> approve(std::int64_t run, audit::Actor);
  // Ends the waiting; nothing is removed.
  Task<Result<RunDetails>> dismiss(std::int64_t run, std::string reason, audit::Actor);

  Result<RunDetails> find(std::int64_t run) const;  // not_found
  LifecycleStatus status() const;

 private:
  struct Order {
    std::string started_by;
    audit::Actor actor;
    std::optional<ApprovedPlan> plan;  // none: everything that is due
    bool scheduled = false;
    std::int64_t answers = 0;  // the run whose waiting this ends
    std::optional<Completion<Result<RunDetails>>> done;
  };

  Task<Result<RunDetails>> ask(Order);
  Result<void> may_run() const;

  void work();
  void look_at_schedule();

  // One run (one_run.cpp).
  struct OneRun;
  Result<RunDetails> carry_out(const Order&);
  void visit_all(OneRun&);
  Result<bool> run_repository(OneRun&, const RepositoryName&);
  void count_verdicts(catalog::RunRow&, const policy::Judgement&);
  Result<ApprovedItems> may_come_back(OneRun&, const JudgedRepository&, MirroredRepositories::Kind);
  Result<void> expire_all(OneRun&, const JudgedRepository&, const std::optional<Approval>&);
  Result<void> expire_batch(OneRun&, const JudgedRepository&, DepartingBatch&);
  Result<void> keep_waiting(catalog::RunRow&, const JudgedRepository&, Timestamp judged_at,
                            const std::string& why);
  // Why a run should not go on; empty: it may.
  std::string why_end(const Order&, const policy::Policy&) const;
  void rest(std::chrono::steady_clock::duration);
  static void add_line(std::string& message, const std::string& line);

  const RegistryContext context_;
  const RunSettings settings_;
  const MirroredRepositories mirrored_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::optional<Order> order_;  // the next one, or the one under way
  LifecycleStatus status_;
  Timestamp schedule_from_;  // of the thread alone
  std::thread thread_;
};

// Runs, newest first, before `before` (INT64_MAX: all), at most `limit`.
Result<std::vector<catalog::RunRow>> list_runs(const RegistryContext&, std::int64_t before,
                                               std::int64_t limit);

}  // namespace stele::gc
