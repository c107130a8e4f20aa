#pragma once
// Tags that somebody who may push them asked for by HEAD and found as wanted. containerd and others skip the
// PUT then, so for lifecycle rules such a HEAD is a push of the same digest (docs/lifecycle.md). Collected in
// memory and written in batches by PullTimes::flush(); a crash loses the last seconds.

#include <cstddef>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/reference.hpp"
#include "storage/catalog/catalog.hpp"

namespace stele {

// Thread-safe.
class PushTimes {
 public:
  // Tags that wait to be written; beyond, a HEAD is a pull and nothing more.
  static constexpr std::size_t most_waiting = std::size_t{1} << 16;

  void record(const RepositoryName&, const Tag&, catalog::ManifestId, Timestamp now);

  struct Push {
    RepositoryName repository;
    Tag tag;
    catalog::ManifestId manifest;
    Timestamp at;
  };
  // At most `limit` that wait, without taking them away.
  std::vector<Push> waiting(std::size_t limit) const;
  // They are in the catalog; those that came again meanwhile wait on.
  void written(const std::vector<Push>&);

  // Of one repository, by tag. Whoever reads the catalog too asks here first: what has left this table by
  // then is in every snapshot that is taken afterwards.
  std::map<std::string, std::pair<catalog::ManifestId, Timestamp>, std::less<>> of(
      const RepositoryName&) const;

 private:
  using Key = std::pair<std::string, std::string>;  // repository, tag
  mutable std::mutex mutex_;
  std::map<Key, Push> waiting_;
};

}  // namespace stele
