#include "policy/judge/graph.hpp"

#include <algorithm>
#include <numeric>
#include <stdexcept>

namespace stele::policy {
namespace {

void expect(bool so) {
  if (!so) throw std::invalid_argument("a row of a lifecycle snapshot names a row that it does not have");
}

bool names_row(RowIndex row, std::size_t size) {
  return row >= 0 && at(row) < size;
}

void check_range(const RowRange& range, std::size_t size) {
  expect(range.first <= size && range.count <= size - range.first);
}

void check(const Snapshot& snapshot) {
  const auto optional_row = [](RowIndex row, std::size_t size) {
    expect(row == no_row || names_row(row, size));
  };
  const std::size_t manifests = snapshot.manifests.size();
  for (const SnapshotManifest& manifest : snapshot.manifests) {
    check_range(manifest.entries, snapshot.entries.size());
    check_range(manifest.blobs, snapshot.blob_uses.size());
    check_range(manifest.labels, snapshot.labels.size());
    optional_row(manifest.subject, manifests);
    optional_row(manifest.artifact_type, snapshot.texts.size());
    optional_row(manifest.blocker, snapshot.blockers.size());
  }
  for (const SnapshotTag& tag : snapshot.tags) {
    optional_row(tag.manifest, manifests);
    optional_row(tag.blocker, snapshot.blockers.size());
    expect(tag.signs == SnapshotTag::signs_what_is_absent || tag.signs == SnapshotTag::no_signature ||
           names_row(tag.signs, manifests));
  }
  for (const RowIndex entry : snapshot.entries) expect(names_row(entry, manifests));
  for (const RowIndex blob : snapshot.blob_uses) expect(names_row(blob, snapshot.blobs.size()));
  for (const SnapshotLabel& label : snapshot.labels)
    expect(names_row(label.key, snapshot.texts.size()) && names_row(label.value, snapshot.texts.size()));
}

// Calls edge(upper, lower, how) for all of them, always in the same order.
template <class F>
void for_each_edge(const Snapshot& snapshot, const F& edge) {
  for (std::size_t i = 0; i < snapshot.manifests.size(); ++i) {
    const SnapshotManifest& manifest = snapshot.manifests[i];
    const auto row = static_cast<RowIndex>(i);
    for (const RowIndex entry :
         std::span(snapshot.entries).subspan(manifest.entries.first, manifest.entries.count))
      edge(row, entry, Hangs::as_entry);
    if (manifest.subject != no_row) edge(manifest.subject, row, Hangs::as_referrer);
  }
  for (const SnapshotTag& tag : snapshot.tags) {
    if (follows(tag) && tag.manifest != no_row) edge(tag.signs, tag.manifest, Hangs::as_signature);
  }
}

// Counts become the places where each row's part begins, and one more: where the last one ends.
void sum_up(std::vector<std::uint32_t>& counts) {
  std::exclusive_scan(counts.begin(), counts.end(), counts.begin(), std::uint32_t{0});
}

}  // namespace

Graph::Graph(const Snapshot& snapshot) {
  check(snapshot);
  const std::size_t manifests = snapshot.manifests.size();
  down_first_.assign(manifests + 1, 0);
  up_first_.assign(manifests + 1, 0);
  std::size_t edges = 0;
  for_each_edge(snapshot, [&](RowIndex upper, RowIndex lower, Hangs) {
    ++down_first_[at(upper)];
    ++up_first_[at(lower)];
    ++edges;
  });
  sum_up(down_first_);
  sum_up(up_first_);
  down_.resize(edges);
  up_.resize(edges);
  std::vector<std::uint32_t> down_next(down_first_), up_next(up_first_);
  for_each_edge(snapshot, [&](RowIndex upper, RowIndex lower, Hangs hangs) {
    down_[down_next[at(upper)]++] = {lower, hangs};
    up_[up_next[at(lower)]++] = {upper, hangs};
  });

  tag_order_.resize(snapshot.tags.size());
  std::iota(tag_order_.begin(), tag_order_.end(), 0);
  std::sort(tag_order_.begin(), tag_order_.end(), [&](RowIndex a, RowIndex b) {
    const int order = snapshot.tags[at(a)].name.compare(snapshot.tags[at(b)].name);
    return order != 0 ? order < 0 : a < b;
  });
  tags_first_.assign(manifests + 1, 0);
  std::size_t bound = 0;
  for (const SnapshotTag& tag : snapshot.tags) {
    if (tag.manifest == no_row) continue;
    ++tags_first_[at(tag.manifest)];
    ++bound;
  }
  sum_up(tags_first_);
  tags_.resize(bound);
  std::vector<std::uint32_t> next(tags_first_);
  for (const RowIndex tag : tag_order_) {
    const RowIndex manifest = snapshot.tags[at(tag)].manifest;
    if (manifest != no_row) tags_[next[at(manifest)]++] = tag;
  }
}

}  // namespace stele::policy
