#pragma once
// The catalog's queries about when manifests were pulled. They lag behind what the registry knows
// (registry/pull_times.hpp), which asks them. Conventions: catalog.hpp.

#include <functional>

#include "storage/catalog/catalog.hpp"

namespace stele::catalog {

// Only ever upwards: an earlier time than the stored one changes nothing. A manifest that is gone has none.
void raise_pulled_at(Tx&, ManifestId, Timestamp);
std::optional<Timestamp> pulled_at(Session&, ManifestId);
// Every manifest of the repository, pulled or not, in no order that means anything.
void visit_pulls(Session&, RepositoryId,
                 const std::function<void(ManifestId, std::optional<Timestamp>)>& visit);

// Which file of pulls belongs to this catalog, and how many transactions took from it.
struct PullRecord {
  std::string stamp;
  std::uint64_t flushes = 0;
  friend bool operator==(const PullRecord&, const PullRecord&) = default;
};
// Absent also when it cannot be read: then no file belongs to the catalog, and more is kept.
std::optional<PullRecord> stored_pull_record(Session&);
// Since when every pull was recorded; the same.
std::optional<Timestamp> stored_pulls_since(Session&);
// `since`: absent: as it was.
void store_pull_record(Tx&, const PullRecord&, const std::optional<Timestamp>& since);

}  // namespace stele::catalog
