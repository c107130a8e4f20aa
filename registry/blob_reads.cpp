#include "registry/blob_reads.hpp"

#include <algorithm>
#include <vector>

#include "storage/catalog/lifecycle.hpp"

namespace stele {

bool BlobReads::is_new(const RepositoryName& repository, const Digest& digest, Timestamp now) {
  const std::int64_t tick = now.microseconds / PullTable::tick_microseconds;
  std::string key = repository.str() + '@' + digest.str();
  const std::lock_guard lock(mutex_);
  if (tick != tick_ || counted_.size() >= most_remembered) {
    counted_.clear();
    tick_ = tick;
  }
  return counted_.insert(std::move(key)).second;
}

void BlobReads::record(const RepositoryName& repository, const Digest& digest, Timestamp now) {
  if (!is_new(repository, digest, now)) return;
  const Timestamp day_before{now.microseconds - belongs_seconds * 1'000'000};
  const auto unused = database_.read([&](sql::Session& session) -> Result<std::vector<catalog::ManifestId>> {
    std::vector<catalog::ManifestId> naming;
    const auto id = catalog::find_repository(session, repository);
    if (!id) return naming;
    naming = catalog::images_with_blob(session, *id, digest, most_manifests);
    const bool belongs = std::any_of(naming.begin(), naming.end(), [&](catalog::ManifestId manifest) {
      const auto pulled = pulls_.pulled_at(session, manifest);
      return pulled && *pulled >= day_before;
    });
    if (belongs) naming.clear();
    return naming;
  });
  // What the catalog cannot say now, the next read asks again.
  if (!unused) {
    const std::lock_guard lock(mutex_);
    counted_.clear();
    return;
  }
  for (const catalog::ManifestId manifest : *unused) pulls_.record(manifest, now);
}

}  // namespace stele
