#include "mirror/statistics.hpp"

#include <algorithm>

#include "mirror/mirrors_impl.hpp"

namespace stele::mirror {

void LatencyCounts::add(std::chrono::microseconds time) {
  const auto over = [&](std::int64_t bound) { return time > std::chrono::milliseconds(bound); };
  const auto bucket = std::find_if_not(Latencies::bounds.begin(), Latencies::bounds.end(), over);
  const auto index = static_cast<std::size_t>(std::distance(Latencies::bounds.begin(), bucket));
  buckets_.at(index).fetch_add(1, std::memory_order_relaxed);
  microseconds_.fetch_add(static_cast<std::uint64_t>(std::max<std::int64_t>(time.count(), 0)),
                          std::memory_order_relaxed);
}

Latencies LatencyCounts::total() const {
  Latencies total;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    total.buckets.at(i) = buckets_.at(i).load(std::memory_order_relaxed);
    total.count += total.buckets.at(i);
  }
  total.seconds = static_cast<double>(microseconds_.load(std::memory_order_relaxed)) / 1e6;
  return total;
}

void Mirrors::note_hit(const Place& place) {
  impl_->counts[place.mirror]->hits.fetch_add(1, std::memory_order_relaxed);
}

void Mirrors::note_served(std::string_view repository, std::uint64_t bytes) {
  for (std::size_t i = 0; i < impl_->upstreams.size(); ++i) {
    const std::string& prefix = impl_->upstreams[i]->settings().prefix;
    if (repository.size() <= prefix.size() || !repository.starts_with(prefix) ||
        repository[prefix.size()] != '/')
      continue;
    impl_->counts[i]->served_bytes.fetch_add(bytes, std::memory_order_relaxed);
    return;
  }
}

void Mirrors::note_evicted(std::size_t mirror, std::uint64_t manifests, std::uint64_t bytes) {
  impl_->counts[mirror]->evicted.fetch_add(manifests, std::memory_order_relaxed);
  impl_->counts[mirror]->evicted_bytes.fetch_add(bytes, std::memory_order_relaxed);
}

std::vector<MirrorStatus> Mirrors::status() const {
  std::vector<MirrorStatus> all;
  for (std::size_t i = 0; i < impl_->upstreams.size(); ++i) {
    const Upstream& upstream = *impl_->upstreams[i];
    const Counts& counts = *impl_->counts[i];
    MirrorStatus status;
    status.name = upstream.settings().name;
    status.prefix = upstream.settings().prefix;
    status.pins = upstream.settings().tags == Settings::Tags::pin;
    status.tag_ttl = upstream.tag_ttl();
    status.stretched = status.tag_ttl != upstream.settings().tag_ttl;
    status.hits = counts.hits.load(std::memory_order_relaxed);
    status.misses = counts.misses.load(std::memory_order_relaxed);
    status.revalidations = counts.revalidations.load(std::memory_order_relaxed);
    status.stale = counts.stale.load(std::memory_order_relaxed);
    status.coalesced = counts.coalesced.load(std::memory_order_relaxed);
    status.served_bytes = counts.served_bytes.load(std::memory_order_relaxed);
    status.evicted = counts.evicted.load(std::memory_order_relaxed);
    status.evicted_bytes = counts.evicted_bytes.load(std::memory_order_relaxed);
    status.upstream = upstream.statistics();
    all.push_back(std::move(status));
  }
  const std::lock_guard lock(impl_->mutex);
  for (const auto& [key, flight] : impl_->flights) {
    if (flight->failed()) continue;
    const RunningFetch fetch = flight->progress();
    const auto mine = std::find_if(all.begin(), all.end(), [&](const MirrorStatus& status) {
      return fetch.repository.starts_with(status.prefix + "/");
    });
    if (mine == all.end()) continue;
    ++mine->fetching;
    if (mine->fetches.size() < MirrorStatus::most_fetches) mine->fetches.push_back(fetch);
  }
  return all;
}

}  // namespace stele::mirror
