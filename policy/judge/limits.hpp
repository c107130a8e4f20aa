#pragma once
// Internal to the judge: the verdicts on tags, by the entries first and then by what bounds a run:
// size_budget, which goes further, and keep_last, which goes less far.

#include <vector>

#include "policy/judge/reachability.hpp"

namespace stele::policy {

struct TagVerdict {
  enum class Fate : std::uint8_t { keep, expire, blocked, last_image };
  Fate fate = Fate::keep;
  RowIndex expire = no_row;  // the entry that hits, size_budget among them
};

// By tag; tags that follow a digest stay at `keep`. `reachability` has found what stays under them.
std::vector<TagVerdict> judge_tags(const LifecycleSettings&, const Snapshot&, const Graph&, const Facts&,
                                   Selection&, Reachability&);

// More of the manifests than the fraction.
bool exceeds(double max_fraction, std::uint64_t going, std::uint64_t manifests);

}  // namespace stele::policy
