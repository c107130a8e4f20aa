#pragma once
// Internal to the judge: which manifests stay, given the verdicts on the tags.

#include <vector>

#include "policy/judge/selection.hpp"

namespace stele::policy {

class Reachability {
 public:
  Reachability(const Snapshot&, const Graph&, const Facts&, const Selection&);

  // `goes`, by tag: what entries expire and nothing forbids; tags that follow a digest are not looked at.
  // Can be asked again and again; more tags that go never make more stay. Time in proportion to the rows.
  void find(const std::vector<char>& goes);

  bool stays(RowIndex manifest) const { return stays_[at(manifest)]; }
  // An entry hits it, or all tags on it: it goes unless something that stays reaches it, and then takes along
  // what hangs from it.
  bool is_hit(RowIndex manifest) const { return hit_[at(manifest)]; }
  // The one that stays and by which it was reached; none for what stays by itself.
  RowIndex kept_by(RowIndex manifest) const { return kept_by_[at(manifest)]; }
  Hangs kept_as(RowIndex manifest) const { return kept_as_[at(manifest)]; }

  // Distinct bytes of what stays, blobs that other repositories link too.
  std::uint64_t bytes_that_stay() const;

 private:
  void find_hit(const std::vector<char>& goes);
  bool stays_by_itself(RowIndex manifest, const std::vector<char>& goes) const;

  const Snapshot& snapshot_;
  const Graph& graph_;
  const Facts& facts_;
  const Selection& selection_;
  std::vector<char> hit_, may_go_, stays_;
  std::vector<RowIndex> kept_by_, open_;
  std::vector<Hangs> kept_as_;
};

}  // namespace stele::policy
