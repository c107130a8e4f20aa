#pragma once
// What the server does by the clock, beside the requests: certificates, the policy and the users that
// changed, what was pulled, uploads that were left behind, snapshots, the sweep. Each is a job of the
// scheduler, shown by `stele status`.

#include <memory>
#include <mutex>
#include <vector>

#include "base/scheduler.hpp"
#include "http/tls.hpp"
#include "registry/retention.hpp"
#include "registry/uploads.hpp"
#include "registry/usage.hpp"
#include "server/backups.hpp"
#include "server/identities.hpp"
#include "server/policy_file.hpp"
#include "server/restored_catalog.hpp"

namespace stele {

// Thread-safe. What goes wrong in a job is logged, and tried again at its next time.
class Jobs {
 public:
  // All of it outlives the jobs.
  struct Context {
    const Config& config;
    http::TlsContext* tls;  // null: no TLS
    PolicyFile& policy_file;
    Identities& identities;
    PullTimes& pulls;
    Uploads& uploads;
    Backups& backups;
    const Usages& usages;
    const Retention& retention;
    RestoredCatalog& restored_catalog;
    const RegistryContext& registry;
  };
  explicit Jobs(const Context& context) : context_(context) {}

  // `more`: jobs of features that may be off.
  void begin(std::vector<Scheduler::Job> more = {});
  // Waits for those under way; a long one is told to stop.
  void end();
  // Those of a server that has not begun, or has ended: none.
  std::vector<JobStatus> status() const;

  // At the end, after the last request: what is in memory and would be missed.
  void write_down();
  Result<void> flush_pulls();
  // As of a minute ago at most: metrics must not walk all repositories each time.
  UsageTotals usage_totals() const;

 private:
  Result<void> renew_certificates();
  Result<void> renew_usage_totals();
  Result<void> store_release_clock();
  Result<void> expire_uploads();
  Result<void> make_snapshot(const std::stop_token& stop);
  Result<void> sweep_store(const std::stop_token& stop);

  const Context context_;
  bool pulls_fail_ = false;
  mutable std::mutex mutex_;  // of what follows: whoever asks may come before the begin or after the end
  UsageTotals usage_totals_;
  std::unique_ptr<Scheduler> scheduler_;
};

}  // namespace stele
