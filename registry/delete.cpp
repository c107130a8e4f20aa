#include "registry/registry.hpp"

namespace stele {
namespace {

constexpr std::int64_t review_delay_microseconds = Leases::duration_seconds * 1'000'000;
constexpr std::int64_t tags_per_step = 1000;

void remove_tag(sql::Tx& tx, catalog::RepositoryId id, const RepositoryName& repository, const Tag& tag,
                const Digest& digest, const audit::Actor& actor, Timestamp now) {
  catalog::delete_tag(tx, id, tag);
  const std::optional<Digest> previous = digest;
  const std::optional<Digest> nothing;
  const std::int64_t event = audit::append(
      tx, audit::Event{"tag.delete", repository.str(), tag.str(), previous, nothing}, actor, now);
  catalog::append_tag_history(tx, id,
                              catalog::TagChange{tag, previous, nothing, now, actor.principal.name(), event});
}

Error unknown(const RepositoryName& repository, const Reference& reference) {
  return Error(Errc::manifest_unknown, (reference.tag() ? "tag " : "manifest ") + reference.str() +
                                           " does not exist in " + repository.str());
}

}  // namespace

Task<Result<void>> Registry::delete_manifest(RepositoryName repository, Reference reference,
                                             audit::Actor actor) {
  const std::string key = (reference.tag() ? "tag:" + repository.str() + ":" : "digest:") + reference.str();
  auto pending = parts_.writer.write({key}, [&](sql::Tx& tx) -> Result<void> {
    const Timestamp now = parts_.clock.now();
    const auto id = catalog::find_repository(tx, repository);
    if (!id) return Error(Errc::name_unknown, "repository " + repository.str() + " does not exist");
    if (const Tag* tag = reference.tag()) {
      const auto bound = catalog::find_tag(tx, *id, repository, *tag);
      if (!bound) return bound.error();
      if (!*bound) return unknown(repository, reference);
      remove_tag(tx, *id, repository, *tag, (*bound)->digest, actor, now);
      catalog::queue_review(tx, "manifest", (*bound)->digest, now + review_delay_microseconds);
      return {};
    }
    const Digest& digest = *reference.digest();
    const auto manifest = catalog::find_manifest(tx, *id, digest);
    if (!manifest) return unknown(repository, reference);
    // An index that lives needs its entries (I2), unless the repository does not promise that.
    if (parts_.references.mode(repository) == ReferenceMode::strict) {
      if (const auto index = catalog::referring_manifest(tx, *id, digest)) {
        return Error(Errc::refused_by_policy, "manifest " + digest.str() + " is an entry of the index " +
                                                  index->str() + " in " + repository.str() +
                                                  "; delete the index first")
            .with("reason", "MANIFEST_IN_USE")
            .with("index", index->str());
      }
    }
    for (;;) {
      const auto tags = catalog::tags_of_manifest(tx, manifest->id, tags_per_step);
      for (const Tag& tag : tags) remove_tag(tx, *id, repository, tag, digest, actor, now);
      if (tags.empty()) break;
    }
    catalog::delete_manifest(tx, manifest->id);
    audit::append(tx, audit::Event{"manifest.delete", repository.str(), {}, digest, std::nullopt}, actor,
                  now);
    catalog::queue_review(tx, "manifest", digest, now + review_delay_microseconds);
    return {};
  });
  co_return co_await pending;
}

Task<Result<void>> Registry::delete_blob(RepositoryName repository, Digest digest, audit::Actor actor) {
  auto pending = parts_.writer.write({"digest:" + digest.str()}, [&](sql::Tx& tx) -> Result<void> {
    const auto id = catalog::find_repository(tx, repository);
    if (!id) return Error(Errc::name_unknown, "repository " + repository.str() + " does not exist");
    if (!catalog::repository_has_blob(tx, *id, digest)) {
      return Error(Errc::blob_unknown, "blob " + digest.str() + " does not exist in " + repository.str());
    }
    if (parts_.references.mode(repository) == ReferenceMode::strict) {
      if (const auto manifest = catalog::manifest_needing_blob(tx, *id, digest)) {
        return Error(Errc::blob_in_use, "blob " + digest.str() + " is needed by manifest " + manifest->str() +
                                            " in " + repository.str() + "; delete the manifest first")
            .with("reason", "BLOB_IN_USE")
            .with("manifest", manifest->str());
      }
    }
    const Timestamp now = parts_.clock.now();
    catalog::unlink_blob(tx, *id, digest);
    audit::append(tx, audit::Event{"blob.delete", repository.str(), {}, digest, std::nullopt}, actor, now);
    catalog::queue_review(tx, "blob", digest, now + review_delay_microseconds);
    return {};
  });
  co_return co_await pending;
}

}  // namespace stele
