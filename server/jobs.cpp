#include "server/jobs.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "gc/sweep.hpp"
#include "registry/pull_times.hpp"

namespace stele {

void Jobs::begin(std::vector<Scheduler::Job> more) {
  using std::chrono::seconds;
  using Stop = const std::stop_token&;
  std::vector<Scheduler::Job> jobs{
      {"certificates", seconds(1), seconds(1), [this](Stop) { return renew_certificates(); }},
      {"policy", seconds(1), seconds(1), [this](Stop) { return context_.policy_file.renew(false); }},
      {"users", seconds(1), seconds(1), [this](Stop) { return context_.identities.renew(); }},
      {"logins", seconds(30), seconds(30), [this](Stop) { return context_.identities.flush(); }},
      {"pulls", seconds(5), seconds(5), [this](Stop) { return flush_pulls(); }},
      {"uploads", seconds(60), seconds(60), [this](Stop) { return expire_uploads(); }},
      {"snapshot", seconds(10), seconds(60), [this](Stop stop) { return make_snapshot(stop); }},
      {"usage", seconds(1), seconds(60), [this](Stop) { return renew_usage_totals(); }},
      {"release-clock", seconds(1), seconds(600), [this](Stop) { return store_release_clock(); }},
      {"sweep", seconds(5), std::chrono::hours(24), [this](Stop stop) { return sweep_store(stop); }},
  };
  std::move(more.begin(), more.end(), std::back_inserter(jobs));
  const std::lock_guard lock(mutex_);
  scheduler_ = std::make_unique<Scheduler>(std::move(jobs), context_.registry.clock);
}

void Jobs::end() {
  std::unique_ptr<Scheduler> ending;
  {
    const std::lock_guard lock(mutex_);
    ending = std::move(scheduler_);
  }
}

std::vector<JobStatus> Jobs::status() const {
  const std::lock_guard lock(mutex_);
  return scheduler_ ? scheduler_->status() : std::vector<JobStatus>();
}

void Jobs::write_down() {
  (void)store_release_clock();  // logged
  const auto closed = context_.pulls.close();
  if (!closed)
    spdlog::error("what was pulled cannot be written to the catalog: {}; it is kept in {}/pulls",
                  closed.error().message(), context_.config.data);
  (void)context_.identities.flush();  // logged
}

UsageTotals Jobs::usage_totals() const {
  const std::lock_guard lock(mutex_);
  return usage_totals_;
}

Result<void> Jobs::renew_certificates() {
  if (!context_.tls) return {};
  const auto changed = context_.tls->reload_if_changed();
  if (!changed) {
    spdlog::error("the changed certificates are not used: {}; the old ones stay in force",
                  changed.error().message());
    return changed.error();
  }
  if (*changed) spdlog::info("certificates were re-read from {}", context_.config.tls.cert);
  return {};
}

Result<void> Jobs::renew_usage_totals() {
  const auto totals = context_.usages.totals();
  if (!totals) {
    spdlog::error("what the repositories hold cannot be read: {}", totals.error().message());
    return totals.error();
  }
  const std::lock_guard lock(mutex_);
  usage_totals_ = *totals;
  return {};
}

Result<void> Jobs::store_release_clock() {
  if (auto noted = context_.restored_catalog.note(); !noted) spdlog::error("{}", noted.error().message());
  auto stored = sync_wait(context_.retention.store_clock());
  if (!stored) spdlog::error("the time of the release clock cannot be stored: {}", stored.error().message());
  return stored;
}

Result<void> Jobs::flush_pulls() {
  for (bool more = true; more;) {
    const auto flushed = context_.pulls.flush();
    if (!flushed) {
      // Said once: the next one comes in seconds.
      if (!std::exchange(pulls_fail_, true))
        spdlog::error("what was pulled cannot be written to the catalog: {}; it is kept in {}/pulls",
                      flushed.error().message(), context_.config.data);
      return flushed.error();
    }
    if (flushed->lost > 0) {
      spdlog::warn(
          "{} pulls could not be recorded, there was no room in {}/pulls: the record of pulls begins anew, "
          "and lifecycle rules that ask when an image was pulled keep more until their time has passed "
          "again",
          flushed->lost, context_.config.data);
    }
    more = flushed->more;
  }
  pulls_fail_ = false;
  return {};
}

Result<void> Jobs::expire_uploads() {
  const std::size_t ended = sync_wait(context_.uploads.expire());
  if (ended > 0) spdlog::info("{} upload sessions expired (limits.upload_idle)", ended);
  return {};
}

Result<void> Jobs::make_snapshot(const std::stop_token& stop) {
  const auto made =
      context_.backups.make_if_due(context_.config.backup.every.count(), context_.config.backup.keep, stop);
  if (!made) {
    if (!stop.stop_requested())
      spdlog::error("no snapshot of the catalog could be made: {}", made.error().message());
    return made.error();
  }
  if (*made) spdlog::info("snapshot of the catalog: {}/backups/{}", context_.config.data, **made);
  return {};
}

Result<void> Jobs::sweep_store(const std::stop_token& stop) {
  gc::SweepLimits limits;
  limits.stop = stop;
  limits.older_catalog = context_.restored_catalog.found();
  const auto report = sync_wait(gc::sweep(context_.registry, context_.uploads, limits));
  if (!report) {
    spdlog::error("the sweep failed: {}", report.error().message());
    return report.error();
  }
  for (const auto& path : report->foreign)
    spdlog::warn("{} is not a file of Stele's and was left alone", path);
  if (report->withheld > 0) {
    spdlog::error(
        "the sweep found {} blobs that the catalog does not list and left them alone: it is older than its "
        "blobs, perhaps a restored snapshot. `stele sweep --all` removes them once you are sure",
        report->withheld);
  }
  if (report->uploads_removed + report->blobs_removed + report->failed > 0) {
    spdlog::info("sweep: {} orphan uploads and {} orphan blobs removed, {} bytes; {} could not be removed",
                 report->uploads_removed, report->blobs_removed, report->bytes_removed, report->failed);
  }
  return {};
}

}  // namespace stele
