#pragma once
// Takes away files that no row speaks of: what a crash or a full disk left between a file and its commit.
// Never touches a blob that the catalog lists; that is the collector's work, by its own rules (I5).

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "registry/registry.hpp"
#include "registry/uploads.hpp"

namespace stele::gc {

struct SweepReport {
  std::uint64_t uploads_removed = 0;
  std::uint64_t blobs_removed = 0;
  std::uint64_t bytes_removed = 0;
  std::uint64_t failed = 0;
  std::uint64_t withheld = 0;        // orphan blobs left alone because there were suspiciously many
  std::vector<std::string> foreign;  // files that are not ours, left alone; at most 100
  std::vector<std::string> orphans;  // what was removed, withheld or failed; the first 20
};

struct SweepLimits {
  std::int64_t grace_seconds = 24 * 60 * 60;  // younger files stay
  // More orphan blobs than this, and than a tenth of all blobs, look like a catalog that is older than its
  // blobs (a restored snapshot), not like debris: then no blob is removed and the report says how many were
  // withheld.
  std::uint64_t plausible_orphans = 1000;
  bool older_catalog = false;  // it is known to be a restored snapshot: then the same holds for any number
  bool remove_many = false;    // the operator has looked and means it
  bool report_only = false;    // counts what would be removed, and removes nothing
  std::stop_token stop = {};   // once it was requested nothing more is looked at or removed
};

// One pass over the store. Safe beside pushes at any grace: an upload in progress is known to
// `uploads`, and a publication holds its digest's lock from before the file appears until its row is
// committed.
Task<Result<SweepReport>> sweep(RegistryContext context, Uploads& uploads, SweepLimits limits);

}  // namespace stele::gc
