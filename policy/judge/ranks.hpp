#pragma once
// Internal to the judge: newest_*. Each takes tags and returns those whose digest is among the newest
// `count`, in ascending order of their rows. A digest ranks by the best of these tags; of two that are
// equally good the one pushed later (pushed_before()) is newer.

#include <vector>

#include "policy/judge/facts.hpp"
#include "policy/lifecycle_rules.hpp"

namespace stele::policy {

// Tags without a known push time are returned and take no slot.
std::vector<RowIndex> newest_pushed(const Snapshot&, const std::vector<RowIndex>& tags, std::uint32_t count);

// Tags of images that were never pulled rank last. An image that may have been pulled while nothing was
// recorded is returned and takes no slot.
std::vector<RowIndex> newest_pulled(const Snapshot&, const Facts&, const std::vector<RowIndex>& tags,
                                    std::uint32_t count);

// Tags that are no versions are left out, those on a digest that another tag makes new too.
std::vector<RowIndex> newest_semver(const Snapshot&, const std::vector<RowIndex>& tags, std::uint32_t count);

// The same for manifests without a tag: those among the newest of each rank of the entry, in ascending order
// of their rows. They rank by their push or the loss of their last tag, and by last use; of equal ones the
// later manifest is newer.
std::vector<RowIndex> newest_untagged(const Snapshot&, const Facts&, const std::vector<RowIndex>& manifests,
                                      const LifecycleEntry&);

}  // namespace stele::policy
