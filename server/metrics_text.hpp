#pragma once
// Everything that /metrics shows, in Prometheus' text form.

#include <optional>
#include <string>

#include "auth/login_counts.hpp"
#include "base/scheduler.hpp"
#include "gc/lifecycle/runs.hpp"
#include "gc/scrub.hpp"
#include "gc/worker.hpp"
#include "http/server.hpp"
#include "mirror/statistics.hpp"
#include "registry/in_use.hpp"
#include "registry/pull_times.hpp"
#include "registry/uploads.hpp"
#include "registry/usage.hpp"
#include "server/request_metrics.hpp"
#include "storage/blob_store.hpp"
#include "storage/sql/writer.hpp"

namespace stele {

struct MetricsSnapshot {
  RequestMetrics::Totals requests;
  http::ServerStatistics connections;
  sql::WriterStatistics writer;
  UploadsStatistics uploads;
  gc::CollectionStatus collection;
  gc::LifecycleStatus lifecycle;
  gc::ScrubStatus scrub;
  PullStatistics pulls;
  InUseSummary in_use;
  UsageTotals usage;
  std::uint64_t quota_refusals = 0;
  const auth::LoginCounts* logins = nullptr;        // null: none are shown
  std::optional<double> next_robot_expiry_seconds;  // if there is one to come
  std::vector<JobStatus> jobs;
  std::vector<mirror::MirrorStatus> mirrors;
  SpaceInfo space;
  std::uint64_t catalog_bytes = 0;
  std::optional<double> backup_age_seconds;  // of the newest snapshot, if there is one
  bool read_only = false;
  std::uint64_t store_errors = 0;
  std::string version;
};

std::string metrics_text(const MetricsSnapshot& snapshot);

}  // namespace stele
