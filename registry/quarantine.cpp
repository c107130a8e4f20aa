#include "registry/quarantine.hpp"

#include "storage/catalog/quarantine.hpp"

namespace stele {

Result<void> Quarantine::load(sql::Database& database) {
  return database.read([&](sql::Session& session) -> Result<void> {
    for (const catalog::QuarantinedBlob& blob : catalog::list_quarantine(session, "", -1)) add(blob.digest);
    return {};
  });
}

void Quarantine::add(const Digest& digest) {
  const std::lock_guard lock(mutex_);
  digests_.insert(digest);
  size_.store(digests_.size(), std::memory_order_release);
}

void Quarantine::remove(const Digest& digest) {
  const std::lock_guard lock(mutex_);
  digests_.erase(digest);
  size_.store(digests_.size(), std::memory_order_release);
}

bool Quarantine::listed(const Digest& digest) const {
  const std::lock_guard lock(mutex_);
  return digests_.contains(digest);
}

void Quarantine::suspect(const Digest& digest) {
  const std::lock_guard lock(mutex_);
  if (suspects_.size() < most_suspects) suspects_.insert(digest);
}

std::vector<Digest> Quarantine::take_suspects() {
  const std::lock_guard lock(mutex_);
  std::vector<Digest> taken(suspects_.begin(), suspects_.end());
  suspects_.clear();
  return taken;
}

Error in_quarantine(const Digest& digest) {
  return Error(Errc::blob_unknown, "blob " + digest.str() +
                                       " is in quarantine: its stored bytes were found to be wrong or "
                                       "missing; push it again, which mends it wherever it is used");
}

}  // namespace stele
