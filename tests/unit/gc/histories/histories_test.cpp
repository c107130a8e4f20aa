// Random histories of a registry under lifecycle, with the collector at work all the time, against a simple
// model. STELE_LIFECYCLE_OPERATIONS: how many operations; TEST_SEED: just the history of this seed, as
// a failure names it.
#include <cstdlib>
#include <iostream>

#include "tests/support/seed.hpp"
#include "tests/unit/gc/histories/history.hpp"

namespace stele {
namespace {

using histories_test::History;
using histories_test::HistoryCounts;
using histories_test::HistoryKind;

constexpr int operations_per_history = 1000;

std::int64_t operations() {
  const char* const chosen = std::getenv("STELE_LIFECYCLE_OPERATIONS");
  return chosen ? std::atoll(chosen) : 4000;
}

HistoryCounts run_all(const std::string& kind, std::int64_t wanted, bool restarts) {
  HistoryCounts total;
  for (std::uint64_t seed = test_seed("lifecycle histories" + kind); total.operations < wanted; ++seed) {
    INFO("TEST_SEED=" << seed);
    History history(seed, {operations_per_history, restarts});
    history.run();
    total += history.counts();
    if (chosen_seed()) break;
  }
  std::cout << "lifecycle histories" << kind << ": " << total.operations << " operations, " << total.removed
            << " manifests and " << total.untagged << " tags removed, " << total.survived
            << " survived a run, " << total.restored << " restored, " << total.refused
            << " restorations refused, " << total.erased << " erased, " << total.collected
            << " blobs collected, " << total.waited << " runs waited, " << total.interrupted
            << " were cut off\n";
  return total;
}

TEST_CASE(
    "lifecycle histories: what is there is what a simple model says, and in the end nothing more (I2, I3, "
    "I5)") {
  const HistoryCounts total = run_all("", operations() * 3 / 4, false);
  CHECK(total.removed > total.operations / 100);
  CHECK(total.survived > 0);
  CHECK(total.restored > 0);
  CHECK(total.erased > 0);
  CHECK(total.collected > 0);
}

TEST_CASE(
    "lifecycle histories: the same with a kill at any moment, also in the middle of a run (I1, I2, I3, I5)") {
  const HistoryCounts total = run_all(" with kills", operations() / 4, true);
  CHECK(total.removed > total.operations / 200);
}

}  // namespace
}  // namespace stele
