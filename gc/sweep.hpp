#pragma once
// Takes away files that no row speaks of: what a crash or a full disk left between a file and its commit. Never touches a blob
// that the catalog lists; that is the collector's work, by its own rules (I5).

#include <cstdint>
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
  std::vector<std::string> foreign;  // files that are not ours, left alone; at most 100
};

// One pass over the store. `grace_seconds`: younger files stay. Safe beside pushes at any grace: an upload in progress is known to
// `uploads`, and a publication holds its digest's lock from before the file appears until its row is committed.
Task<Result<SweepReport>> sweep(RegistryParts parts, Uploads& uploads, std::int64_t grace_seconds);

}  // namespace stele::gc
