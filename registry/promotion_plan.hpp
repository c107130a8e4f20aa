#pragma once
// Internal to registry/: what a promotion takes along, found out before anything is written: the manifest,
// what it needs, what refers to it and what is tagged after its digest, to the last one.

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "base/digest.hpp"
#include "base/reference.hpp"
#include "base/result.hpp"
#include "storage/catalog/catalog.hpp"

namespace stele {

struct PlannedManifest {
  Digest digest;
  std::uint64_t size = 0;  // bytes: read when its turn comes, whether or not the target has it
  std::vector<Tag> tags;   // of the source, that name it a signature of something else that is taken
};

// In the order in which they may be inserted: children before their index.
using PromotionPlan = std::vector<PlannedManifest>;

// Point reads of one snapshot. name_unknown, manifest_unknown; parameter_invalid when it is more than a
// promotion takes (tag_moves.hpp).
Result<PromotionPlan> plan_promotion(sql::Session&, const RepositoryName& from, const RepositoryName& to,
                                     const Digest&);

// Where to cut: the numbers of manifests of each write, at least one write.
std::vector<std::size_t> writes_of(const PromotionPlan&);

// What promotions into this repository wait for, as a key of RegistryParts::digest_locks. There are
// TagMoves::most_at_once of them.
std::string turn_of(const RepositoryName& to);

}  // namespace stele
