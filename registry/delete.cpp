#include "registry/preconditions.hpp"
#include "registry/protection.hpp"
#include "registry/registry.hpp"
#include "registry/ruled_write.hpp"
#include "registry/unknown.hpp"
#include "storage/catalog/collection.hpp"
#include "storage/catalog/departures.hpp"
#include "storage/catalog/trash.hpp"

namespace stele {
namespace {

// All of them go in one write, or none: others wait for it.
constexpr std::int64_t most_tags = 2000;

}  // namespace

Task<Result<void>> Registry::delete_manifest(RepositoryName repository, Reference reference,
                                             audit::Actor actor, const Preconditions* conditions) {
  const std::string key = (reference.tag() ? "tag:" + repository.str() + ":" : "digest:") + reference.str();
  const RuledBody remove_it = [&](sql::Tx& tx, Orderings& orderings) -> Result<void> {
    const Timestamp now = context_.clock.now();
    const auto id = catalog::find_repository(tx, repository);
    if (!id) return unknown_repository(repository);
    TagRules rules(tx, context_, *id, repository, actor, orderings);
    if (const Tag* tag = reference.tag()) {
      const auto bound = catalog::find_tag(tx, *id, repository, *tag);
      if (!bound) return bound.error();
      if (!*bound) return unknown_manifest(repository, reference);
      return rules.remove(*tag, **bound);
    }
    const Digest& digest = *reference.digest();
    const auto manifest = catalog::find_manifest(tx, *id, digest);
    if (!manifest) return unknown_manifest(repository, reference);
    // An index that lives needs its entries (I2), unless the repository does not promise that.
    if (context_.references.mode(repository) == ReferenceMode::strict) {
      if (const auto index = catalog::referring_manifest(tx, *id, digest)) {
        Error refusal = Error(Errc::refused_by_policy,
                              "manifest " + digest.str() + " is an entry of the index " + index->str() +
                                  " in " + repository.str() + "; delete the index first")
                            .in_brief("manifest is an entry of an index")
                            .with("reason", "MANIFEST_IN_USE")
                            .with("index", index->str());
        record_refusal(tx, "manifest.refused", repository, {}, digest, std::nullopt, refusal, actor, now);
        return refusal;
      }
    }
    if (auto refusal = Protection(tx, *id, repository, context_.release_clock.now()).of_content(digest)) {
      record_refusal(tx, "manifest.refused", repository, {}, digest, std::nullopt, *refusal, actor, now);
      return *refusal;
    }
    const auto tags = catalog::tags_of_manifest(tx, manifest->id, most_tags + 1);
    if (tags.size() > most_tags) {
      return Error(Errc::parameter_invalid,
                   "manifest " + digest.str() + " in " + repository.str() + " has more than " +
                       std::to_string(most_tags) +
                       " tags, which would all go at once; delete some of the tags first");
    }
    for (const Tag& tag : tags) {
      const auto bound = catalog::find_tag(tx, *id, repository, tag);
      if (!bound) return bound.error();
      if (auto removed = rules.remove(tag, **bound); !removed) return removed;
    }
    catalog::delete_manifest(tx, manifest->id, now + context_.leases.microseconds());
    const auto event = audit::append(
        tx, audit::Event{"manifest.delete", repository.str(), {}, digest, std::nullopt}, actor, now);
    catalog::record_departure(tx, repository, digest, event, std::nullopt);
    return {};
  };
  // The condition is asked last; what was removed comes back with the transaction.
  const RuledBody body = [&](sql::Tx& tx, Orderings& orderings) -> Result<void> {
    if (!conditions) return remove_it(tx, orderings);
    const auto present = present_digest(tx, repository, reference);
    if (!present) return present.error();
    if (auto removed = remove_it(tx, orderings); !removed) return removed;
    if (auto unmet = conditions->unmet(*present)) return *unmet;
    return {};
  };
  sql::Keys keys{key};
  co_return co_await write_under_rules(context_, std::move(keys), repository, std::nullopt, body);
}

Task<Result<void>> Registry::delete_blob(RepositoryName repository, Digest digest, audit::Actor actor) {
  auto pending = context_.writer.write({"digest:" + digest.str()}, [&](sql::Tx& tx) -> Result<void> {
    const auto id = catalog::find_repository(tx, repository);
    if (!id) return unknown_repository(repository);
    if (!catalog::repository_has_blob(tx, *id, digest)) {
      return Error(Errc::blob_unknown, "blob " + digest.str() + " does not exist in " + repository.str());
    }
    if (context_.references.mode(repository) == ReferenceMode::strict) {
      if (const auto manifest = catalog::manifest_needing_blob(tx, *id, digest)) {
        return Error(Errc::blob_in_use, "blob " + digest.str() + " is needed by manifest " + manifest->str() +
                                            " in " + repository.str() + "; delete the manifest first")
            .with("reason", "BLOB_IN_USE")
            .with("manifest", manifest->str());
      }
      if (const auto manifest = catalog::trash_needing_blob(tx, *id, digest)) {
        return Error(Errc::blob_in_use, "blob " + digest.str() + " is needed by manifest " + manifest->str() +
                                            " in the trash of " + repository.str() +
                                            "; erase it from the trash first (stele trash erase)")
            .with("reason", "BLOB_IN_USE")
            .with("manifest", manifest->str());
      }
    }
    const Timestamp now = context_.clock.now();
    if (auto refusal = Protection(tx, *id, repository, context_.release_clock.now()).of_content(digest)) {
      record_refusal(tx, "blob.refused", repository, {}, digest, std::nullopt, *refusal, actor, now);
      return *refusal;
    }
    catalog::unlink_blob(tx, *id, digest);
    audit::append(tx, audit::Event{"blob.delete", repository.str(), {}, digest, std::nullopt}, actor, now);
    catalog::queue_review(tx, std::nullopt, digest, now + context_.leases.microseconds());
    return {};
  });
  co_return co_await pending;
}

}  // namespace stele
