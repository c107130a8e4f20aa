#pragma once
// The online collector: takes away the links, and then the blobs, that nothing needs any more (I5). It looks
// only at what the operations themselves have queued (storage/catalog/collection.hpp), in short transactions,
// beside pushes and pulls.
//
// A link goes when no manifest of its repository names the blob, in the trash neither, no lock or hold keeps
// it, and nobody has a lease on it. With its last link the blob's row goes from live to deleting in the same
// transaction; then the file is removed; then the row. The lock of the digest is held from the first look to
// the last commit, so that whoever pushes the same content waits and writes anew. A crash in between leaves a
// row in deleting, which stays queued, or a file without a row, which the sweep finds.

#include <cstdint>
#include <vector>

#include "registry/context.hpp"
#include "storage/catalog/collection.hpp"

namespace stele::gc {

struct Collected {
  std::uint64_t reviews = 0;        // queue items looked at
  std::uint64_t links_removed = 0;  // between a repository and a blob
  std::uint64_t blobs_removed = 0;
  std::uint64_t bytes_freed = 0;
  std::uint64_t postponed = 0;  // leased, locked or held: looked at again later
  std::uint64_t failed = 0;     // files that could not be removed; tried again

  Collected& operator+=(const Collected&);
};

struct CollectorSettings {
  std::int64_t batch = 32;  // items of one transaction
  std::int64_t retry_seconds = 600;
};

// One caller at a time.
class Collector {
 public:
  explicit Collector(const RegistryContext& context, CollectorSettings settings = {})
      : context_(context), settings_(settings) {}

  // One batch of what is due; no reviews: nothing is due, or everything still counts as leased. Errors of the
  // catalog; what was queued stays queued.
  Task<Result<Collected>> step();

 private:
  enum class Finding { settled, postponed, link_idle, blob_idle };
  struct Doomed {
    Digest digest;
    std::uint64_t size;
  };
  Result<Collected> review_all(sql::Tx&, const std::vector<catalog::Review>&, Leases::Removal&,
                               std::vector<Doomed>&) const;
  Result<void> review(sql::Tx&, const catalog::Review&, Leases::Removal&, Collected&,
                      std::vector<Doomed>&) const;
  Task<Result<void>> remove_files(const std::vector<Doomed>&, Collected&);

  const RegistryContext context_;
  const CollectorSettings settings_;
};

}  // namespace stele::gc
