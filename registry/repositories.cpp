#include "registry/repositories.hpp"

#include "registry/protection.hpp"
#include "registry/ruled_write.hpp"
#include "registry/unknown.hpp"
#include "storage/catalog/collection.hpp"
#include "storage/catalog/departures.hpp"
#include "storage/catalog/trash.hpp"

namespace stele {
namespace {

constexpr std::int64_t rows_per_step = 1000;

}  // namespace

Task<Result<RemovedRepository>> Repositories::remove(RepositoryName repository, audit::Actor actor) const {
  RemovedRepository removed;
  const RuledBody body = [&](sql::Tx& tx, Orderings& orderings) -> Result<void> {
    removed = {};
    const auto id = catalog::find_repository(tx, repository);
    if (!id) return unknown_repository(repository);
    const Timestamp now = parts_.clock.now();
    if (auto refusal = Protection(tx, *id, repository, parts_.release_clock.now()).of_repository()) {
      record_refusal(tx, "repository.refused", repository, {}, std::nullopt, std::nullopt, *refusal, actor,
                     now);
      return *refusal;
    }
    TagRules rules(tx, parts_, *id, repository, actor, orderings);
    for (std::string last;;) {
      const auto tags = catalog::list_tag_bindings(tx, *id, repository, last, rows_per_step);
      if (!tags) return tags.error();
      if (tags->empty()) break;
      for (const catalog::TagBinding& binding : *tags) {
        auto gone = rules.remove(binding.tag, binding);
        if (!gone && orderings.unread().empty()) return gone;
        ++removed.tags;
      }
      last = tags->back().tag.str();
    }
    if (!orderings.unread().empty())
      return Error(Errc::unavailable, "the images' versions are still to be read");
    for (;;) {
      const auto digests = catalog::some_manifests(tx, *id, rows_per_step);
      if (digests.empty()) break;
      for (const Digest& digest : digests) {
        catalog::delete_manifest(tx, catalog::find_manifest(tx, *id, digest).value().id,
                                 now + parts_.leases.microseconds());
        const auto event = audit::append(
            tx, audit::Event{"manifest.delete", repository.str(), {}, digest, std::nullopt}, actor, now);
        catalog::record_departure(tx, repository, digest, event, std::nullopt);
        ++removed.manifests;
      }
    }
    for (;;) {
      const auto items = catalog::list_trash(tx, {*id, std::nullopt}, 0, rows_per_step);
      if (items.empty()) break;
      for (const catalog::TrashItem& item : items) {
        catalog::forget_trash(tx, item.id);
        audit::append(tx, audit::Event{"trash.erase", repository.str(), {}, item.digest, std::nullopt}, actor,
                      now);
        ++removed.trash;
      }
    }
    for (;;) {
      const auto digests = catalog::some_blobs(tx, *id, rows_per_step);
      if (digests.empty()) break;
      for (const Digest& digest : digests) {
        catalog::unlink_blob(tx, *id, digest);
        catalog::queue_review(tx, std::nullopt, digest, now + parts_.leases.microseconds());
        ++removed.blobs;
      }
    }
    catalog::delete_repository(tx, *id);
    const auto event = audit::append(
        tx, audit::Event{"repository.delete", repository.str(), {}, std::nullopt, std::nullopt}, actor, now);
    catalog::record_departure(tx, repository, std::nullopt, event, std::nullopt);
    return {};
  };
  sql::Keys keys{"repository:" + repository.str()};
  const Result<void> written =
      co_await write_under_rules(parts_, std::move(keys), repository, std::nullopt, body);
  if (!written) co_return written.error();
  co_return removed;
}

}  // namespace stele
