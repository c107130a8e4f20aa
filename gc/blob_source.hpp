#pragma once
// Where a blob can be had again whose bytes were lost here: the upstream of a mirror.

#include <memory>
#include <optional>
#include <vector>

#include "base/digest.hpp"
#include "base/reference.hpp"
#include "registry/uploads.hpp"

namespace stele::gc {

// Thread-safe.
class BlobSource {
 public:
  virtual ~BlobSource() = default;

  struct Found {
    RepositoryName repository;  // the one of those asked for that it comes for
    std::unique_ptr<ByteSource> bytes;
  };
  // The content of the blob, for one of these repositories that have it; empty: none of them has it from
  // elsewhere, or it is not there any more. The bytes need not be right: whoever asks hashes them.
  virtual Task<Result<std::optional<Found>>> open(const Digest&, const std::vector<RepositoryName>&) = 0;
};

}  // namespace stele::gc
