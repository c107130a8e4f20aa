#pragma once
// Internal to registry/: the storage quotas of the policy, asked wherever a repository gets more: a blob that
// is pushed or mounted, a manifest, a promotion. What a quota counts is what usage counts
// (storage/catalog/usage.hpp), so that a blob counts from its upload on. What takes nothing more is never
// refused, however full the repository is; nor is what a mirror keeps, which its own size bounds.

#include "base/reference.hpp"
#include "base/result.hpp"
#include "policy/quotas.hpp"
#include "registry/context.hpp"
#include "storage/catalog/catalog.hpp"

namespace stele {

// For a write closure: made before its changes, asked after them. Lives inside it.
class QuotaCheck {
 public:
  QuotaCheck(sql::Tx&, const RegistryContext&, catalog::RepositoryId, const RepositoryName&);

  // forbidden when the repository holds more than before, and more than it may. To be returned by the
  // closure, whose changes are rolled back with it.
  Result<void> done() const;

 private:
  std::uint64_t used() const;

  sql::Tx& tx_;
  const RegistryContext& context_;
  const catalog::RepositoryId id_;
  const RepositoryName& repository_;
  const std::shared_ptr<const policy::Quotas> quotas_;
  const policy::Quotas::Match match_;
  const std::uint64_t before_;  // 0 where no quota speaks of the repository
};

// Before bytes are sent in vain; the write itself is asked again. Read on the calling thread.

// forbidden when the repository has no room for anything. As long as something is damaged, what is uploaded
// may be what mends it, which adds nothing: then there is always room.
Result<void> room_for_upload(const RegistryContext&, const RepositoryName&);
// forbidden when the repository does not have the blob, and no room for this many bytes.
Result<void> room_for_blob(const RegistryContext&, const RepositoryName&, const Digest&, std::uint64_t bytes);

}  // namespace stele
