#include "policy/judge/reachability.hpp"

namespace stele::policy {

Reachability::Reachability(const Snapshot& snapshot, const Graph& graph, const Facts& facts,
                           const Selection& selection)
    : snapshot_(snapshot), graph_(graph), facts_(facts), selection_(selection) {}

void Reachability::find(const std::vector<char>& goes) {
  const std::size_t count = snapshot_.manifests.size();
  find_hit(goes);

  // What may go: the hit ones and all that hangs from them.
  may_go_ = hit_;
  open_.clear();
  for (std::size_t i = 0; i < count; ++i) {
    if (hit_[i]) open_.push_back(static_cast<RowIndex>(i));
  }
  while (!open_.empty()) {
    const RowIndex manifest = open_.back();
    open_.pop_back();
    for (const Edge& edge : graph_.down(manifest)) {
      if (may_go_[at(edge.to)]) continue;
      may_go_[at(edge.to)] = 1;
      open_.push_back(edge.to);
    }
  }

  stays_.assign(count, 0);
  kept_by_.assign(count, no_row);
  kept_as_.assign(count, Hangs::as_entry);
  for (std::size_t i = 0; i < count; ++i) {
    const auto manifest = static_cast<RowIndex>(i);
    if (!stays_by_itself(manifest, goes)) continue;
    stays_[i] = 1;
    open_.push_back(manifest);
  }
  for (std::size_t i = 0; i < open_.size(); ++i) {
    for (const Edge& edge : graph_.down(open_[i])) {
      if (stays_[at(edge.to)]) continue;
      stays_[at(edge.to)] = 1;
      kept_by_[at(edge.to)] = open_[i];
      kept_as_[at(edge.to)] = edge.hangs;
      open_.push_back(edge.to);
    }
  }
}

void Reachability::find_hit(const std::vector<char>& goes) {
  hit_.assign(snapshot_.manifests.size(), 0);
  for (std::size_t i = 0; i < hit_.size(); ++i) {
    const auto manifest = static_cast<RowIndex>(i);
    const auto tags = graph_.tags(manifest);
    if (tags.empty()) {
      const Hits& hits = selection_.of_manifest(manifest);
      hit_[i] = hits.expire != no_row && hits.keep == no_row && facts_.blocker(manifest) == no_row;
      continue;
    }
    bool judged = false, all_go = true;
    for (const RowIndex tag : tags) {
      if (follows(snapshot_.tags[at(tag)])) continue;
      judged = true;
      all_go = all_go && goes[at(tag)];
    }
    hit_[i] = judged && all_go;
  }
}

bool Reachability::stays_by_itself(RowIndex manifest, const std::vector<char>& goes) const {
  if (!may_go_[at(manifest)] || facts_.blocker(manifest) != no_row ||
      selection_.of_manifest(manifest).keep != no_row)
    return true;
  for (const RowIndex row : graph_.tags(manifest)) {
    const SnapshotTag& tag = snapshot_.tags[at(row)];
    if (follows(tag) ? tag.blocker != no_row : !goes[at(row)]) return true;
  }
  return false;
}

std::uint64_t Reachability::bytes_that_stay() const {
  std::uint64_t sum = 0;
  std::vector<char> counted(snapshot_.blobs.size(), 0);
  for (std::size_t i = 0; i < stays_.size(); ++i) {
    if (!stays_[i]) continue;
    const SnapshotManifest& manifest = snapshot_.manifests[i];
    sum += size_of(manifest.bytes);
    for (const RowIndex blob :
         std::span(snapshot_.blob_uses).subspan(manifest.blobs.first, manifest.blobs.count)) {
      if (counted[at(blob)]) continue;
      counted[at(blob)] = 1;
      sum += size_of(snapshot_.blobs[at(blob)].bytes);
    }
  }
  return sum;
}

}  // namespace stele::policy
