#pragma once
// Internal to the judge: what the rules ask of each manifest and a row does not say by itself.

#include <optional>
#include <vector>

#include "policy/judge/graph.hpp"

namespace stele::policy {

class Facts {
 public:
  Facts(const Snapshot&, const Graph&);

  // By those whose pulls count, of the manifest or (for an index) of what it lists.
  Timestamp last_pulled(RowIndex manifest) const { return last_pulled_[at(manifest)]; }
  // That, its push, and the times at which it got or lost a tag.
  Timestamp last_used(RowIndex manifest) const;
  // When the manifest, which has no tag, was pushed or lost its last one.
  Timestamp pushed_untagged(RowIndex manifest) const;
  // Whether these times are known: of each tag on it, or, without one, of the manifest.
  bool is_dated(RowIndex manifest) const;

  // The lock, hold or use because of which it stays: its own, or that of what it lists or is the subject of.
  RowIndex blocker(RowIndex manifest) const { return blocker_[at(manifest)]; }
  bool is_protected(const SnapshotTag& tag) const {
    return tag.blocker != no_row || blocker(tag.manifest) != no_row;
  }

  // Whether the distinct bytes of manifest, blobs and entries are more than `bytes`. Nothing when finding out
  // would take too long, which only many deep indexes over the same content can bring about (I10).
  std::optional<bool> is_larger(RowIndex manifest, std::uint64_t bytes);

 private:
  void spread_pulls();
  void spread_blockers();
  void bound_sizes();

  const Snapshot& snapshot_;
  const Graph& graph_;
  std::vector<Timestamp> last_pulled_;
  std::vector<RowIndex> blocker_;
  // Not less than the distinct bytes: what is reached twice is counted twice. Made when first asked for.
  std::vector<std::uint64_t> at_most_;
  std::vector<std::uint32_t> seen_, blob_seen_;
  std::uint32_t walk_ = 0;
  std::uint64_t steps_left_ = 0;
};

}  // namespace stele::policy
