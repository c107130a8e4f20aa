#include "server/request_metrics.hpp"

#include <algorithm>
#include <atomic>

namespace stele {
namespace {

std::atomic<std::uint64_t> last_id{0};

}  // namespace

RequestMetrics::RequestMetrics() : id_(++last_id) {}

RequestMetrics::Shard& RequestMetrics::shard() {
  thread_local std::uint64_t owner = 0;
  thread_local Shard* mine = nullptr;
  if (owner != id_) {
    const std::lock_guard lock(mutex_);
    shards_.push_back(std::make_unique<Shard>());
    mine = shards_.back().get();
    owner = id_;
  }
  return *mine;
}

void RequestMetrics::record(const http::RequestSummary& summary) {
  // A client's own method names must not become labels without end.
  const auto known = {"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"};
  const bool named = std::find(known.begin(), known.end(), summary.method) != known.end();
  Shard& own = shard();
  const std::lock_guard lock(own.mutex);
  ++own.totals
        .requests[Key{summary.note.route, named ? std::string(summary.method) : "other", summary.status}];
  Durations& durations = own.totals.durations[summary.note.route];
  const auto bucket = std::lower_bound(bounds.begin(), bounds.end(), summary.microseconds) - bounds.begin();
  ++durations.buckets[static_cast<std::size_t>(bucket)];
  ++durations.count;
  durations.seconds += static_cast<double>(summary.microseconds) / 1e6;
  own.totals.bytes_received += summary.bytes_received;
  own.totals.bytes_sent += summary.bytes_sent;
  if (!summary.complete) ++own.totals.broken;
}

RequestMetrics::Totals RequestMetrics::totals() const {
  Totals sum;
  const std::lock_guard all(mutex_);
  for (const auto& shard : shards_) {
    const std::lock_guard lock(shard->mutex);
    for (const auto& [key, count] : shard->totals.requests) sum.requests[key] += count;
    for (const auto& [route, durations] : shard->totals.durations) {
      Durations& into = sum.durations[route];
      for (std::size_t i = 0; i < into.buckets.size(); ++i) into.buckets[i] += durations.buckets[i];
      into.seconds += durations.seconds;
      into.count += durations.count;
    }
    sum.bytes_received += shard->totals.bytes_received;
    sum.bytes_sent += shard->totals.bytes_sent;
    sum.broken += shard->totals.broken;
  }
  return sum;
}

}  // namespace stele
