#include "policy/judge/facts.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

namespace stele::policy {
namespace {

std::uint64_t added(std::uint64_t a, std::uint64_t b) {
  std::uint64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? std::numeric_limits<std::uint64_t>::max() : sum;
}

}  // namespace

Facts::Facts(const Snapshot& snapshot, const Graph& graph) : snapshot_(snapshot), graph_(graph) {
  spread_pulls();
  spread_blockers();
}

// From the latest pull to the earliest, each upwards through indexes: the first to arrive is the latest, and
// nothing is visited twice, in circles neither.
void Facts::spread_pulls() {
  last_pulled_.assign(snapshot_.manifests.size(), never);
  std::vector<RowIndex> order;
  for (std::size_t i = 0; i < snapshot_.manifests.size(); ++i) {
    if (snapshot_.manifests[i].pulled_at != never) order.push_back(static_cast<RowIndex>(i));
  }
  std::sort(order.begin(), order.end(), [&](RowIndex a, RowIndex b) {
    return snapshot_.manifests[at(a)].pulled_at > snapshot_.manifests[at(b)].pulled_at;
  });
  std::vector<RowIndex> open;
  for (const RowIndex pulled : order) {
    const Timestamp time = snapshot_.manifests[at(pulled)].pulled_at;
    open.push_back(pulled);
    while (!open.empty()) {
      const RowIndex manifest = open.back();
      open.pop_back();
      if (last_pulled_[at(manifest)] != never) continue;
      last_pulled_[at(manifest)] = time;
      for (const Edge& edge : graph_.up(manifest)) {
        if (edge.hangs == Hangs::as_entry) open.push_back(edge.to);
      }
    }
  }
}

void Facts::spread_blockers() {
  blocker_.reserve(snapshot_.manifests.size());
  std::vector<RowIndex> open;
  for (const SnapshotManifest& manifest : snapshot_.manifests) {
    if (manifest.blocker != no_row) open.push_back(static_cast<RowIndex>(blocker_.size()));
    blocker_.push_back(manifest.blocker);
  }
  for (std::size_t i = 0; i < open.size(); ++i) {
    for (const Edge& edge : graph_.up(open[i])) {
      if (blocker_[at(edge.to)] != no_row) continue;
      blocker_[at(edge.to)] = blocker_[at(open[i])];
      open.push_back(edge.to);
    }
  }
}

Timestamp Facts::pushed_untagged(RowIndex manifest) const {
  const SnapshotManifest& row = snapshot_.manifests[at(manifest)];
  return std::max(row.pushed_at, row.untagged_at);
}

bool Facts::is_dated(RowIndex manifest) const {
  const auto tags = graph_.tags(manifest);
  if (tags.empty()) return pushed_untagged(manifest) != never;
  return std::all_of(tags.begin(), tags.end(),
                     [&](RowIndex tag) { return snapshot_.tags[at(tag)].pushed_at != never; });
}

Timestamp Facts::last_used(RowIndex manifest) const {
  const auto tags = graph_.tags(manifest);
  Timestamp latest = tags.empty() ? pushed_untagged(manifest) : snapshot_.manifests[at(manifest)].pushed_at;
  for (const RowIndex tag : tags) latest = std::max(latest, snapshot_.tags[at(tag)].pushed_at);
  return std::max(latest, last_pulled(manifest));
}

// Children first. What lies on a circle, which only damaged rows make, is never finished and has no bound.
void Facts::bound_sizes() {
  const std::size_t count = snapshot_.manifests.size();
  at_most_.assign(count, std::numeric_limits<std::uint64_t>::max());
  std::vector<std::uint32_t> unfinished(count);
  std::vector<std::uint64_t> sum(count);
  std::vector<RowIndex> ready;
  for (std::size_t i = 0; i < count; ++i) {
    const SnapshotManifest& manifest = snapshot_.manifests[i];
    unfinished[i] = manifest.entries.count;
    sum[i] = size_of(manifest.bytes);
    for (const RowIndex blob :
         std::span(snapshot_.blob_uses).subspan(manifest.blobs.first, manifest.blobs.count))
      sum[i] = added(sum[i], size_of(snapshot_.blobs[at(blob)].bytes));
    if (unfinished[i] == 0) ready.push_back(static_cast<RowIndex>(i));
  }
  while (!ready.empty()) {
    const RowIndex done = ready.back();
    ready.pop_back();
    at_most_[at(done)] = sum[at(done)];
    for (const Edge& edge : graph_.up(done)) {
      if (edge.hangs != Hangs::as_entry) continue;
      sum[at(edge.to)] = added(sum[at(edge.to)], sum[at(done)]);
      if (--unfinished[at(edge.to)] == 0) ready.push_back(edge.to);
    }
  }
  seen_.assign(count, 0);
  blob_seen_.assign(snapshot_.blobs.size(), 0);
  constexpr std::uint64_t steps_per_row = 64;
  steps_left_ = steps_per_row * (count + snapshot_.entries.size() + snapshot_.blob_uses.size());
}

std::optional<bool> Facts::is_larger(RowIndex manifest, std::uint64_t bytes) {
  if (at_most_.empty()) bound_sizes();
  if (at_most_[at(manifest)] <= bytes) return false;
  ++walk_;
  std::uint64_t sum = 0;
  std::vector<RowIndex> open{manifest};
  seen_[at(manifest)] = walk_;
  while (!open.empty()) {
    const SnapshotManifest& row = snapshot_.manifests[at(open.back())];
    open.pop_back();
    const std::uint64_t steps = 1 + row.blobs.count + row.entries.count;
    if (steps > steps_left_) return std::nullopt;
    steps_left_ -= steps;
    sum = added(sum, size_of(row.bytes));
    for (const RowIndex blob : std::span(snapshot_.blob_uses).subspan(row.blobs.first, row.blobs.count)) {
      if (blob_seen_[at(blob)] == walk_) continue;
      blob_seen_[at(blob)] = walk_;
      sum = added(sum, size_of(snapshot_.blobs[at(blob)].bytes));
    }
    if (sum > bytes) return true;
    for (const RowIndex entry : std::span(snapshot_.entries).subspan(row.entries.first, row.entries.count)) {
      if (seen_[at(entry)] == walk_) continue;
      seen_[at(entry)] = walk_;
      open.push_back(entry);
    }
  }
  return false;
}

}  // namespace stele::policy
