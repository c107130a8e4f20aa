#pragma once
// What a judgement removes from one repository, in the batches in which it goes: what hangs together goes
// together.

#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gc/lifecycle/plan.hpp"
#include "registry/expiry.hpp"

namespace stele::gc {

// Items that somebody approved: (tag, digest); the tag is empty for an untagged manifest.
using ApprovedItems = std::set<std::pair<std::string, std::string>>;

// What somebody looked at in one repository, and when that was judged, by the clock that stamps pushes and
// pulls. What was used from then on stays, whatever the rules ask for.
struct Approval {
  const ApprovedItems& items;
  Timestamp made_at;
};

// A batch, with what each of its manifests frees, for the run's record.
struct DepartingBatch {
  std::vector<ExpiringManifest> manifests;  // an upper one before the lower ones
  std::vector<ExpiryEdge> edges;
  std::vector<std::int64_t> frees_bytes;
};

// `approval`: what is not among it stays, and what hangs from that; so does what was used since, and what it
// hangs from. Nothing: everything goes that was judged to.
// A batch is what hangs together. One of more than `longest` manifests is cut, the upper ones first.
std::vector<DepartingBatch> departing_batches(const JudgedRepository&, const std::optional<Approval>&,
                                              std::size_t longest);

// As one: the batch at `next`, and those after it that fit into `size` manifests with it. `next` is then
// behind them.
DepartingBatch take_batch(std::vector<DepartingBatch>& batches, std::size_t& next, std::size_t size);

}  // namespace stele::gc
