#pragma once
// How a run that waits keeps what it asks about: JSON in the catalog.

#include "gc/lifecycle/departing.hpp"

namespace stele::gc {

// What was judged to go: {"manifests": n, "expiring": n, "items": [["tag", "sha256:…"], …]}.
std::string write_items(const JudgedRepository&);
// corrupt.
Result<ApprovedItems> read_items(const std::string&);

struct WaitingCounts {
  std::uint64_t manifests = 0;  // of the repository
  std::uint64_t expiring = 0;   // of them
};
WaitingCounts counts_of(const std::string&);

}  // namespace stele::gc
