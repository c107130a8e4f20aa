#include "server/metrics_text.hpp"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <limits>
#include <sstream>

namespace stele {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

MetricFamily& family(std::vector<MetricFamily>& all, std::string name, std::string help, MetricType type) {
  MetricFamily made;
  made.name = std::move(name);
  made.help = std::move(help);
  made.type = type;
  all.push_back(std::move(made));
  return all.back();
}

ClientMetric& metric(MetricFamily& into, std::vector<ClientMetric::Label> labels = {}) {
  into.metric.emplace_back();
  into.metric.back().label = std::move(labels);
  return into.metric.back();
}

ClientMetric::Label label(std::string name, std::string value) {
  ClientMetric::Label made;
  made.name = std::move(name);
  made.value = std::move(value);
  return made;
}

void counter(std::vector<MetricFamily>& all, std::string name, std::string help, double value) {
  metric(family(all, std::move(name), std::move(help), MetricType::Counter)).counter.value = value;
}

void gauge(std::vector<MetricFamily>& all, std::string name, std::string help, double value) {
  metric(family(all, std::move(name), std::move(help), MetricType::Gauge)).gauge.value = value;
}

// `upper_bound(i)` is that of the i-th bucket; the last bucket has none.
template <class Buckets, class Bound>
void histogram(ClientMetric& of, const Buckets& buckets, std::uint64_t count, double sum, Bound upper_bound) {
  of.histogram.sample_count = count;
  of.histogram.sample_sum = sum;
  std::uint64_t cumulative = 0;
  for (std::size_t i = 0; i < buckets.size(); ++i) {
    cumulative += buckets[i];
    ClientMetric::Bucket bucket;
    bucket.cumulative_count = cumulative;
    bucket.upper_bound = i + 1 < buckets.size() ? upper_bound(i) : std::numeric_limits<double>::infinity();
    of.histogram.bucket.push_back(bucket);
  }
}

void add_requests(std::vector<MetricFamily>& all, const RequestMetrics::Totals& totals) {
  auto& requests = family(all, "stele_http_requests_total", "Requests by endpoint, method and status.",
                          MetricType::Counter);
  for (const auto& [key, count] : totals.requests) {
    metric(requests, {label("endpoint", key.route), label("method", key.method),
                      label("status", std::to_string(key.status))})
        .counter.value = static_cast<double>(count);
  }
  auto& durations =
      family(all, "stele_http_request_duration_seconds",
             "From the complete head to the last byte handed to the kernel.", MetricType::Histogram);
  for (const auto& [route, measured] : totals.durations) {
    histogram(metric(durations, {label("endpoint", route)}), measured.buckets, measured.count,
              measured.seconds,
              [](std::size_t i) { return static_cast<double>(RequestMetrics::bounds.at(i)) / 1e6; });
  }
  counter(all, "stele_http_received_bytes_total", "Bytes of request bodies.",
          static_cast<double>(totals.bytes_received));
  counter(all, "stele_http_sent_bytes_total", "Bytes of response bodies.",
          static_cast<double>(totals.bytes_sent));
  counter(all, "stele_http_broken_responses_total", "Answers that the client did not receive whole.",
          static_cast<double>(totals.broken));
}

void add_writer(std::vector<MetricFamily>& all, const sql::WriterStatistics& writer) {
  auto& sizes =
      family(all, "stele_commit_batch_size", "Writes that shared one commit.", MetricType::Histogram);
  histogram(metric(sizes), writer.by_size, writer.batches, static_cast<double>(writer.writes),
            [](std::size_t i) { return static_cast<double>((std::uint64_t{2} << i) - 1); });
  counter(all, "stele_commit_seconds_total", "Time spent in commits, syncs included.", writer.commit_seconds);
  counter(all, "stele_commit_failures_total", "Batches that could not be committed.",
          static_cast<double>(writer.failed_batches));
  gauge(all, "stele_commit_queue", "Writes that wait for the next commit.",
        static_cast<double>(writer.queued));
}

void add_collection(std::vector<MetricFamily>& all, const gc::CollectionStatus& status) {
  counter(all, "stele_gc_reviews_total", "Links between repositories and blobs that the collector looked at.",
          static_cast<double>(status.total.reviews));
  counter(all, "stele_gc_links_removed_total", "Links that nothing needed.",
          static_cast<double>(status.total.links_removed));
  counter(all, "stele_gc_blobs_removed_total", "Blobs removed.",
          static_cast<double>(status.total.blobs_removed));
  counter(all, "stele_gc_freed_bytes_total", "Bytes of the blobs removed.",
          static_cast<double>(status.total.bytes_freed));
  counter(all, "stele_gc_postponed_total", "Reviews put off because of a lease, a lock or a hold.",
          static_cast<double>(status.total.postponed));
  counter(all, "stele_gc_failures_total", "Blob files that could not be removed; they are tried again.",
          static_cast<double>(status.total.failed));
  counter(all, "stele_gc_seconds_total", "Time that the collector worked.", status.seconds);
  gauge(all, "stele_gc_queue", "Reviews that wait for their time or their turn.",
        static_cast<double>(status.queued));
  gauge(all, "stele_gc_due", "Reviews whose time has come.", static_cast<double>(status.due));
  gauge(all, "stele_gc_paused", "1 while an administrator keeps the collector from working.",
        status.paused ? 1 : 0);
  gauge(all, "stele_trash_manifests", "Manifests in the trash.", static_cast<double>(status.trash.manifests));
  gauge(all, "stele_trash_bytes", "Bytes of the manifests in the trash, without the blobs that they keep.",
        static_cast<double>(status.trash.bytes));
  counter(all, "stele_trash_erased_total", "Items of the trash whose time was over.",
          static_cast<double>(status.erased.items));
  counter(all, "stele_trash_postponed_total",
          "Times that an item stayed in the trash past its time because of a lock, a hold or a cluster.",
          static_cast<double>(status.erased.postponed));
}

void add_lifecycle(std::vector<MetricFamily>& all, const gc::LifecycleStatus& status) {
  counter(all, "stele_lifecycle_runs_total", "Lifecycle runs.", static_cast<double>(status.runs));
  auto& verdicts = family(all, "stele_lifecycle_verdicts_total",
                          "What runs said of tags and untagged manifests.", MetricType::Counter);
  metric(verdicts, {label("verdict", "keep")}).counter.value = static_cast<double>(status.kept);
  metric(verdicts, {label("verdict", "expire")}).counter.value = static_cast<double>(status.expired);
  metric(verdicts, {label("verdict", "blocked")}).counter.value = static_cast<double>(status.blocked);
  counter(all, "stele_lifecycle_removed_manifests_total", "Manifests moved to the trash.",
          static_cast<double>(status.removed));
  counter(all, "stele_lifecycle_removed_tags_total", "Tags removed by lifecycle.",
          static_cast<double>(status.untagged));
  counter(all, "stele_lifecycle_survived_total",
          "What was due when judged, and not any more when its turn came.",
          static_cast<double>(status.survived));
  counter(all, "stele_lifecycle_seconds_total", "Time that runs took.", status.seconds);
  gauge(all, "stele_lifecycle_running", "1 while a run is under way.", status.running ? 1 : 0);
  gauge(all, "stele_lifecycle_waiting", "Runs that wait for an administrator's decision.",
        static_cast<double>(status.waiting));
  gauge(all, "stele_lifecycle_failed", "1 when the last run failed.", status.problem.empty() ? 0 : 1);
}

void add_scrub(std::vector<MetricFamily>& all, const gc::ScrubStatus& status) {
  counter(all, "stele_scrub_blobs_total", "Blobs that the scrub read again.",
          static_cast<double>(status.total.blobs));
  counter(all, "stele_scrub_bytes_total", "Bytes that it read.", static_cast<double>(status.total.bytes));
  counter(all, "stele_scrub_damaged_total", "Blobs that it put into quarantine.",
          static_cast<double>(status.total.damaged));
  counter(all, "stele_scrub_repaired_total",
          "Blobs whose right bytes it brought back; those that a push mends are not among them.",
          static_cast<double>(status.total.repaired));
  counter(all, "stele_scrub_failures_total", "Blob files that could not be opened.",
          static_cast<double>(status.total.failed));
  gauge(all, "stele_scrub_paused", "1 while it rests, by itself or because an administrator said so.",
        status.paused ? 1 : 0);
  gauge(all, "stele_scrub_done_ratio", "About what part of the pass under way is done; 0 between passes.",
        status.done);
  gauge(all, "stele_quarantined_blobs",
        "Blobs whose bytes are wrong or missing: pushing them again mends them.",
        static_cast<double>(status.quarantined));
}

void add_in_use(std::vector<MetricFamily>& all, const InUseSummary& in_use) {
  gauge(all, "stele_in_use_reports", "Clusters that have reported what they run.",
        static_cast<double>(in_use.reports));
  gauge(all, "stele_in_use_stale_reports",
        "Reports older than their lease: they protect what they name, but the cluster may run other things.",
        static_cast<double>(in_use.stale));
  gauge(all, "stele_in_use_images", "Manifests that clusters run, counted once per cluster.",
        static_cast<double>(in_use.images));
  if (in_use.ages.empty()) return;
  auto& ages =
      family(all, "stele_in_use_report_age_seconds",
             "Time since the cluster's report; of the first 100 clusters by name.", MetricType::Gauge);
  for (const InUseSummary::Age& age : in_use.ages)
    metric(ages, {label("cluster", age.cluster)}).gauge.value = age.seconds;
}

void add_usage(std::vector<MetricFamily>& all, const UsageTotals& usage) {
  gauge(all, "stele_repositories", "Repositories; this and the next four are a minute old at most.",
        static_cast<double>(usage.repositories));
  gauge(all, "stele_manifests", "Manifests of all repositories.", static_cast<double>(usage.sum.manifests));
  gauge(all, "stele_logical_bytes",
        "Bytes of manifests and blobs, what repositories share counted once for each of them.",
        static_cast<double>(usage.sum.logical_bytes()));
  gauge(all, "stele_unique_bytes", "Those of them that one repository alone needs.",
        static_cast<double>(usage.sum.unique_bytes()));
  gauge(all, "stele_shared_bytes", "Those of them that several repositories share, once for each of them.",
        static_cast<double>(usage.sum.shared_bytes));
}

void add_quotas(std::vector<MetricFamily>& all, std::uint64_t refusals) {
  counter(
      all, "stele_quota_refusals_total",
      "Pushes, mounts and promotions that a quota of the policy refused, or whose upload could not begin.",
      static_cast<double>(refusals));
}

void add_jobs(std::vector<MetricFamily>& all, const std::vector<JobStatus>& jobs) {
  const auto each = [&](const char* name, const char* help, MetricType type, auto value) {
    auto& of_all = family(all, name, help, type);
    for (const JobStatus& job : jobs) value(metric(of_all, {label("job", job.name)}), job);
  };
  each("stele_job_runs_total", "Runs of a scheduled job that ended.", MetricType::Counter,
       [](auto& of, const JobStatus& job) { of.counter.value = static_cast<double>(job.runs); });
  each("stele_job_failures_total", "Runs that failed; `stele status` shows why.", MetricType::Counter,
       [](auto& of, const JobStatus& job) { of.counter.value = static_cast<double>(job.failures); });
  each("stele_job_last_success_timestamp_seconds",
       "When the job's last good run ended; 0: none since the start.", MetricType::Gauge,
       [](auto& of, const JobStatus& job) {
         of.gauge.value = job.succeeded ? static_cast<double>(job.succeeded->microseconds) / 1e6 : 0;
       });
  each("stele_job_last_duration_seconds", "How long the job's last run took.", MetricType::Gauge,
       [](auto& of, const JobStatus& job) { of.gauge.value = job.seconds; });
}

void add_logins(std::vector<MetricFamily>& all, const MetricsSnapshot& snapshot) {
  if (snapshot.logins) {
    auto& logins = family(all, "stele_logins_total",
                          "Attempts to log in, by what was shown and what came of it.", MetricType::Counter);
    for (std::size_t method = 0; method < std::size(auth::login_methods); ++method) {
      for (std::size_t result = 0; result < std::size(auth::login_results); ++result) {
        metric(logins, {label("method", std::string(auth::login_methods[method])),
                        label("result", std::string(auth::login_results[result]))})
            .counter.value = static_cast<double>(snapshot.logins->of(static_cast<auth::LoginMethod>(method),
                                                                     static_cast<auth::LoginResult>(result)));
      }
    }
  }
  if (snapshot.next_robot_expiry_seconds) {
    gauge(all, "stele_next_robot_expiry_seconds", "Until the next robot expires; absent: none will.",
          *snapshot.next_robot_expiry_seconds);
  }
}

void add_mirror_latencies(std::vector<MetricFamily>& all, const std::vector<mirror::MirrorStatus>& mirrors) {
  auto& latencies = family(all, "stele_mirror_upstream_seconds",
                           "From a request to upstream to the head of its answer.", MetricType::Histogram);
  for (const auto& mirror : mirrors) {
    const mirror::Latencies& measured = mirror.upstream.latencies;
    histogram(metric(latencies, {label("mirror", mirror.name)}), measured.buckets, measured.count,
              measured.seconds,
              [](std::size_t i) { return static_cast<double>(mirror::Latencies::bounds.at(i)) / 1e3; });
  }
}

void add_mirrors(std::vector<MetricFamily>& all, const std::vector<mirror::MirrorStatus>& mirrors) {
  const auto counts = [&](const char* name, const char* help, auto value) {
    auto& of_all = family(all, name, help, MetricType::Counter);
    for (const auto& mirror : mirrors)
      metric(of_all, {label("mirror", mirror.name)}).counter.value = static_cast<double>(value(mirror));
  };
  using Status = mirror::MirrorStatus;
  counts("stele_mirror_hits_total", "Answered with what is here.", [](const Status& of) { return of.hits; });
  counts("stele_mirror_misses_total", "Requests for which upstream was asked for the content.",
         [](const Status& of) { return of.misses; });
  counts("stele_mirror_revalidations_total", "Tags that are here compared with upstream's.",
         [](const Status& of) { return of.revalidations; });
  counts("stele_mirror_stale_total", "Answered with what is here, since upstream could not be asked.",
         [](const Status& of) { return of.stale; });
  counts("stele_mirror_coalesced_total", "Requests that waited for what another had asked upstream for.",
         [](const Status& of) { return of.coalesced; });
  counts("stele_mirror_fetched_bytes_total", "Content received from upstream.",
         [](const Status& of) { return of.upstream.received_bytes; });
  counts("stele_mirror_served_bytes_total", "Bytes sent to clients from the mirror's repositories.",
         [](const Status& of) { return of.served_bytes; });
  counts("stele_mirror_evicted_total", "Manifests that went by evict_after or max_size.",
         [](const Status& of) { return of.evicted; });
  counts("stele_mirror_evicted_bytes_total", "What they alone had.",
         [](const Status& of) { return of.evicted_bytes; });
  counts("stele_mirror_upstream_requests_total", "Requests to upstream, those for tokens included.",
         [](const Status& of) { return of.upstream.requests; });
  add_mirror_latencies(all, mirrors);
  auto& remaining = family(all, "stele_mirror_remaining", "What upstream last said is left of its limit.",
                           MetricType::Gauge);
  for (const auto& mirror : mirrors) {
    if (mirror.upstream.remaining)
      metric(remaining, {label("mirror", mirror.name)}).gauge.value =
          static_cast<double>(*mirror.upstream.remaining);
  }
  auto& paused =
      family(all, "stele_mirror_upstream_paused",
             "1 while an upstream is not asked, since it limits or does not answer.", MetricType::Gauge);
  for (const auto& mirror : mirrors) {
    for (const auto& url : mirror.upstream.urls)
      metric(paused, {label("mirror", mirror.name), label("upstream", url.url)}).gauge.value =
          url.problem.empty() ? 0 : 1;
  }
  auto& fetching = family(all, "stele_mirror_fetches", "Blobs that are arriving now.", MetricType::Gauge);
  for (const auto& mirror : mirrors)
    metric(fetching, {label("mirror", mirror.name)}).gauge.value = static_cast<double>(mirror.fetching);
  auto& waiting = family(all, "stele_mirror_waiting", "Blobs that wait for their turn, by max_fetches.",
                         MetricType::Gauge);
  for (const auto& mirror : mirrors)
    metric(waiting, {label("mirror", mirror.name)}).gauge.value =
        static_cast<double>(mirror.upstream.waiting);
}

}  // namespace

std::string metrics_text(const MetricsSnapshot& snapshot) {
  std::vector<MetricFamily> all;
  auto& build = family(all, "stele_build_info", "The version that runs; always 1.", MetricType::Gauge);
  metric(build, {label("version", snapshot.version)}).gauge.value = 1;
  add_requests(all, snapshot.requests);
  counter(all, "stele_connections_accepted_total", "Connections accepted.",
          static_cast<double>(snapshot.connections.accepted));
  counter(all, "stele_connections_refused_total", "Connections over limits.connections.",
          static_cast<double>(snapshot.connections.refused));
  gauge(all, "stele_connections_open", "Connections open now.",
        static_cast<double>(snapshot.connections.open));
  gauge(all, "stele_uploads_open", "Upload sessions open now.", static_cast<double>(snapshot.uploads.open));
  counter(all, "stele_uploads_finished_total", "Uploads that became blobs.",
          static_cast<double>(snapshot.uploads.finished));
  counter(all, "stele_uploads_expired_total", "Upload sessions that were idle too long.",
          static_cast<double>(snapshot.uploads.expired));
  counter(all, "stele_uploads_received_bytes_total", "Bytes received into upload sessions.",
          static_cast<double>(snapshot.uploads.bytes));
  gauge(all, "stele_uploads_buffered_bytes", "Memory that uploads hold for what arrives.",
        static_cast<double>(snapshot.uploads.buffered));
  add_writer(all, snapshot.writer);
  add_collection(all, snapshot.collection);
  add_scrub(all, snapshot.scrub);
  auto& pulls = family(all, "stele_pull_records", "Times of last pulls; dirty: not in the catalog yet.",
                       MetricType::Gauge);
  metric(pulls, {label("state", "dirty")}).gauge.value = static_cast<double>(snapshot.pulls.dirty);
  counter(all, "stele_pull_records_lost_total",
          "Pulls that could not be recorded: lifecycle rules that ask for pulls keep more.",
          static_cast<double>(snapshot.pulls.lost));
  add_lifecycle(all, snapshot.lifecycle);
  add_in_use(all, snapshot.in_use);
  add_usage(all, snapshot.usage);
  add_quotas(all, snapshot.quota_refusals);
  add_logins(all, snapshot);
  add_jobs(all, snapshot.jobs);
  if (!snapshot.mirrors.empty()) add_mirrors(all, snapshot.mirrors);
  gauge(all, "stele_store_available_bytes", "Space left for blobs and catalog.",
        static_cast<double>(snapshot.space.available_bytes));
  gauge(all, "stele_store_total_bytes", "Size of the file system.",
        static_cast<double>(snapshot.space.total_bytes));
  gauge(all, "stele_catalog_bytes", "Size of the catalog file.", static_cast<double>(snapshot.catalog_bytes));
  if (snapshot.backup_age_seconds) {
    gauge(all, "stele_backup_age_seconds", "Since the newest snapshot of the catalog that the server made.",
          *snapshot.backup_age_seconds);
  }
  gauge(all, "stele_store_read_only", "1 after a failed fsync: writes are refused until a restart.",
        snapshot.read_only ? 1 : 0);
  counter(all, "stele_store_errors_total",
          "Requests refused because storage failed (no space, I/O, corruption).",
          static_cast<double>(snapshot.store_errors));
  counter(all, "stele_access_log_lost_total",
          "Lines of the access log that were dropped, since standard output did not take them in time.",
          static_cast<double>(snapshot.access_lines_lost));
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, all);
  return out.str();
}

}  // namespace stele
