#pragma once
// What each repository holds, in numbers: kept by the catalog's own functions, in the transaction that
// changes the rows, at a cost that does not depend on how many repositories share a blob. Conventions:
// catalog.hpp.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "storage/catalog/catalog.hpp"

namespace stele::catalog {

// Bytes throughout.
struct Usage {
  std::int64_t manifests = 0;
  std::int64_t manifest_bytes = 0;
  std::int64_t blobs = 0;         // that it links, those that only its trash needs too
  std::int64_t blob_bytes = 0;    // of these
  std::int64_t shared_bytes = 0;  // of those among them that other repositories link too
  std::int64_t trash_manifests = 0;
  std::int64_t trash_bytes = 0;  // of the manifests in the trash, without blobs

  // What it would take alone.
  std::int64_t logical_bytes() const { return manifest_bytes + blob_bytes; }
  // What it alone needs.
  std::int64_t unique_bytes() const { return logical_bytes() - shared_bytes; }

  friend bool operator==(const Usage&, const Usage&) = default;
};

std::optional<Usage> find_usage(Session&, RepositoryId);
struct RepositoryUsage {
  RepositoryName repository;
  Usage usage;
};
// In bytewise order of the names after `name`, or from it on; at most `limit`.
enum class Begin { after, at };
std::vector<RepositoryUsage> list_usage(Session&, const std::string& name, Begin begin, std::int64_t limit);

// Counted anew from the rows themselves: for checks. Looks at everything that the repository holds.
Usage recount_usage(Session&, RepositoryId);
// Replaces what is kept: for repairs.
void store_usage(Tx&, RepositoryId, const Usage&);

// --- for the functions that change what is counted

// After the repository's row was made; before it goes.
void begin_usage(Tx&, RepositoryId);
void end_usage(Tx&, RepositoryId);
void count_manifest(Tx&, RepositoryId, std::int64_t bytes);
// While its row is there.
void uncount_manifest(Tx&, ManifestId);
// The link was made, or is gone.
void count_link(Tx&, RepositoryId, const Digest& blob);
void uncount_link(Tx&, RepositoryId, const Digest& blob);
// While the row of the trash is there; a row of tags alone counts for nothing.
void count_trash(Tx&, std::int64_t trash_id);
void uncount_trash(Tx&, std::int64_t trash_id);

}  // namespace stele::catalog
