#pragma once
// How a run that waits keeps what it asks about: JSON in the catalog.

#include "gc/lifecycle/departing.hpp"

namespace stele::gc {

struct WaitingItems {
  ApprovedItems items;
  std::optional<Timestamp> made_at;  // absent: an earlier version of Stele wrote it, and did not say
};

// What was judged to go: {"made_at": µs, "manifests": n, "expiring": n, "items": [["tag", "sha256:…"], …]}.
std::string write_items(const JudgedRepository&, Timestamp made_at);
// corrupt.
Result<WaitingItems> read_items(const std::string&);

struct WaitingCounts {
  std::uint64_t manifests = 0;  // of the repository
  std::uint64_t expiring = 0;   // of them
};
WaitingCounts counts_of(const std::string&);

}  // namespace stele::gc
