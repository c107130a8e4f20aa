#pragma once
// Internal to the judge: who takes whom along.

#include <vector>

#include "policy/judge/reachability.hpp"

namespace stele::policy {

// Of a manifest that goes; no_row in all three for one that stays.
struct Departure {
  RowIndex item = no_row;    // with which it goes
  RowIndex leader = no_row;  // an item that an entry hits
  RowIndex from = no_row;    // the manifest from which it hangs; none when it leads itself
  Hangs hangs = Hangs::as_entry;
};

// `item_of_tag`, `item_of_manifest`: places in the plan, by row; no_row for manifests with tags. By manifest.
std::vector<Departure> find_departures(const Snapshot&, const Graph&, const Reachability&,
                                       const std::vector<RowIndex>& item_of_tag,
                                       const std::vector<RowIndex>& item_of_manifest);

}  // namespace stele::policy
