#include "registry/quota.hpp"

#include "storage/catalog/usage.hpp"

namespace stele {
namespace {

std::uint64_t used_bytes(sql::Session& session, catalog::RepositoryId id) {
  const auto usage = catalog::find_usage(session, id);
  return usage ? static_cast<std::uint64_t>(std::max<std::int64_t>(0, usage->logical_bytes())) : 0;
}

Error refuse(const RegistryContext& context, const RepositoryName& repository,
             const policy::Quotas::Match& match, std::uint64_t used, std::uint64_t added) {
  context.quota_refusals.fetch_add(1, std::memory_order_relaxed);
  return policy::over_quota(repository.str(), match, used, added);
}

}  // namespace

QuotaCheck::QuotaCheck(sql::Tx& tx, const RegistryContext& context, catalog::RepositoryId id,
                       const RepositoryName& repository)
    : tx_(tx),
      context_(context),
      id_(id),
      repository_(repository),
      quotas_(context.policy.deciding()->quotas()),
      match_(quotas_->of(repository.str())),
      before_(match_ ? used() : 0) {}

std::uint64_t QuotaCheck::used() const {
  return used_bytes(tx_, id_);
}

Result<void> QuotaCheck::done() const {
  if (!match_) return {};
  const std::uint64_t after = used();
  if (after <= before_ || after <= match_.quota->bytes) return {};
  return refuse(context_, repository_, match_, before_, after - before_);
}

Result<void> room_for_upload(const RegistryContext& context, const RepositoryName& repository) {
  const auto quotas = context.policy.current()->quotas();
  const policy::Quotas::Match match = quotas->of(repository.str());
  if (!match || context.quarantine.size() > 0) return {};
  const auto used = context.database.read([&](sql::Session& session) -> Result<std::uint64_t> {
    const auto id = catalog::find_repository(session, repository);
    return id ? used_bytes(session, *id) : 0;
  });
  if (!used) return used.error();
  if (*used < match.quota->bytes) return {};
  return refuse(context, repository, match, *used, 0);
}

Result<void> room_for_blob(const RegistryContext& context, const RepositoryName& repository,
                           const Digest& digest, std::uint64_t bytes) {
  const auto quotas = context.policy.current()->quotas();
  const policy::Quotas::Match match = quotas->of(repository.str());
  if (!match) return {};
  // What it would hold then; nothing when it has the blob.
  const auto used = context.database.read([&](sql::Session& session) -> Result<std::optional<std::uint64_t>> {
    const auto id = catalog::find_repository(session, repository);
    if (!id) return std::optional<std::uint64_t>(0);
    if (catalog::repository_has_blob(session, *id, digest)) return std::optional<std::uint64_t>();
    return std::optional<std::uint64_t>(used_bytes(session, *id));
  });
  if (!used) return used.error();
  if (!*used || bytes == 0 || **used + bytes <= match.quota->bytes) return {};
  return refuse(context, repository, match, **used, bytes);
}

}  // namespace stele
