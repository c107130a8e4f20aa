#pragma once
// A read of a blob as use of an image. Lazy pulls (stargz, SOCI) read ranges of layers long after the
// manifest, and never ask for that again: what a running container still reads must not count as unused.
//
// The manifests of the repository that name the blob count as pulled, unless one of them was pulled within
// the last day: then that pull is what the read belongs to. Otherwise each pull of a base layer would keep
// every image that was ever built on it. Either way a blob that is read goes on being needed by something
// that counts as used.

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_set>

#include "base/clock.hpp"
#include "base/reference.hpp"
#include "registry/pull_times.hpp"
#include "storage/sql/database.hpp"

namespace stele {

// Thread-safe. Everything it is given outlives it.
class BlobReads {
 public:
  static constexpr std::int64_t belongs_seconds = 24 * 60 * 60;
  // Of the manifests that name a blob, the newest so many are looked at.
  static constexpr std::int64_t most_manifests = 64;
  // Blobs that are remembered as counted, so that a read costs a look at this and no more; then anew.
  static constexpr std::size_t most_remembered = std::size_t{1} << 16;

  BlobReads(sql::Database& database, PullTimes& pulls) : database_(database), pulls_(pulls) {}

  // Once in ten minutes for each blob of a repository: one short read of the catalog on the calling thread.
  void record(const RepositoryName&, const Digest&, Timestamp now);

 private:
  bool is_new(const RepositoryName&, const Digest&, Timestamp now);

  sql::Database& database_;
  PullTimes& pulls_;
  std::mutex mutex_;
  std::int64_t tick_ = 0;
  std::unordered_set<std::string> counted_;  // in this tick
};

}  // namespace stele
