#include "server/metrics_text.hpp"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

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
    auto& histogram = metric(durations, {label("endpoint", route)}).histogram;
    histogram.sample_count = measured.count;
    histogram.sample_sum = measured.seconds;
    std::uint64_t cumulative = 0;
    for (std::size_t i = 0; i < measured.buckets.size(); ++i) {
      cumulative += measured.buckets[i];
      ClientMetric::Bucket bucket;
      bucket.cumulative_count = cumulative;
      bucket.upper_bound = i < RequestMetrics::bounds.size()
                               ? static_cast<double>(RequestMetrics::bounds[i]) / 1e6
                               : std::numeric_limits<double>::infinity();
      histogram.bucket.push_back(bucket);
    }
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
  auto& histogram = metric(sizes).histogram;
  histogram.sample_count = writer.batches;
  histogram.sample_sum = static_cast<double>(writer.writes);
  std::uint64_t cumulative = 0;
  for (std::size_t i = 0; i < writer.by_size.size(); ++i) {
    cumulative += writer.by_size[i];
    ClientMetric::Bucket bucket;
    bucket.cumulative_count = cumulative;
    bucket.upper_bound = i + 1 < writer.by_size.size() ? static_cast<double>((std::uint64_t{2} << i) - 1)
                                                       : std::numeric_limits<double>::infinity();
    histogram.bucket.push_back(bucket);
  }
  counter(all, "stele_commit_seconds_total", "Time spent in commits, syncs included.", writer.commit_seconds);
  counter(all, "stele_commit_failures_total", "Batches that could not be committed.",
          static_cast<double>(writer.failed_batches));
  gauge(all, "stele_commit_queue", "Writes that wait for the next commit.",
        static_cast<double>(writer.queued));
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
  add_writer(all, snapshot.writer);
  gauge(all, "stele_store_available_bytes", "Space left for blobs and catalog.",
        static_cast<double>(snapshot.space.available_bytes));
  gauge(all, "stele_store_total_bytes", "Size of the file system.",
        static_cast<double>(snapshot.space.total_bytes));
  gauge(all, "stele_catalog_bytes", "Size of the catalog file.", static_cast<double>(snapshot.catalog_bytes));
  gauge(all, "stele_store_read_only", "1 after a failed fsync: writes are refused until a restart.",
        snapshot.read_only ? 1 : 0);
  counter(all, "stele_store_errors_total",
          "Requests refused because storage failed (no space, I/O, corruption).",
          static_cast<double>(snapshot.store_errors));
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, all);
  return out.str();
}

}  // namespace stele
