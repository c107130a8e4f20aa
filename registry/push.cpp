#include "base/media_type.hpp"
#include "registry/registry.hpp"

namespace stele {
namespace {

constexpr std::int64_t mount_candidates = 100;
// Garbage is looked at again a day after it may have become some: the length of a lease.
constexpr std::int64_t review_delay_microseconds = Leases::duration_seconds * 1'000'000;

Error missing(const RepositoryName& repository, const char* what, const Digest& digest) {
  return Error(Errc::manifest_reference_unknown, std::string("manifest names ") + what + " " + digest.str() +
                                                     ", which " + repository.str() +
                                                     " does not have; push it first")
      .with("digest", digest.str());
}

// Moves one tag inside the push's transaction; nothing happens when it points there already.
Result<void> bind_tag(sql::Tx& tx, catalog::RepositoryId id, const RepositoryName& repository, const Tag& tag,
                      catalog::ManifestId manifest, const Digest& digest, const audit::Actor& actor,
                      Timestamp now) {
  const auto bound = catalog::find_tag(tx, id, repository, tag);
  if (!bound) return bound.error();
  std::optional<Digest> previous;
  if (*bound) previous = (*bound)->digest;
  if (previous == digest) return {};
  catalog::set_tag(tx, id, repository,
                   catalog::TagBinding{tag, manifest, digest, now, actor.principal.name()});
  const std::int64_t event =
      audit::append(tx, audit::Event{"tag.set", repository.str(), tag.str(), previous, digest}, actor, now);
  const std::optional<Digest> current = digest;
  catalog::append_tag_history(tx, id,
                              catalog::TagChange{tag, previous, current, now, actor.principal.name(), event});
  if (previous) catalog::queue_review(tx, "manifest", *previous, now + review_delay_microseconds);
  return {};
}

}  // namespace

Result<void> Registry::check_references(sql::Session& session, catalog::RepositoryId id,
                                        const RepositoryName& repository, const Manifest& manifest) const {
  if (parts_.references.mode(repository) == ReferenceMode::sparse) return {};
  if (manifest.config() && !catalog::repository_has_blob(session, id, manifest.config()->digest)) {
    return missing(repository, "the config", manifest.config()->digest);
  }
  for (const Descriptor& layer : manifest.layers()) {
    if (media_type::is_nondistributable(layer.media_type)) continue;
    if (!catalog::repository_has_blob(session, id, layer.digest))
      return missing(repository, "the layer", layer.digest);
  }
  for (const Descriptor& entry : manifest.entries()) {
    // buildkit's cache export lists layers: an entry may be a blob.
    if (catalog::find_manifest(session, id, entry.digest) ||
        catalog::repository_has_blob(session, id, entry.digest))
      continue;
    return missing(repository, "the entry", entry.digest);
  }
  return {};
}

Task<Result<PushedManifest>> Registry::put_manifest(ManifestPush push) {
  const DigestAlgorithm algorithm =
      push.reference.digest() ? push.reference.digest()->algorithm() : push.algorithm;
  const Digest digest = Digest::of(algorithm, push.bytes);
  if (push.reference.digest() && *push.reference.digest() != digest) {
    co_return Error(Errc::digest_mismatch, "the manifest has digest " + digest.str() + ", not " +
                                               push.reference.str() + " as the request says");
  }
  std::vector<Tag> tags = push.tags;
  if (push.reference.tag()) tags.insert(tags.begin(), *push.reference.tag());

  parts_.leases.take(digest);
  sql::Keys keys{"digest:" + digest.str()};
  for (const Tag& tag : tags) keys.push_back("tag:" + push.repository.str() + ":" + tag.str());

  // The closure refers to this frame, which waits for it.
  auto pending = parts_.writer.write(std::move(keys), [&](sql::Tx& tx) -> Result<void> {
    const Timestamp now = parts_.clock.now();
    const auto id = catalog::ensure_repository(tx, push.repository, now);
    catalog::ManifestId manifest{};
    // Also for a manifest that is there: it may have come while its repository took manifests with gaps.
    if (auto complete = check_references(tx, id, push.repository, push.manifest); !complete)
      return complete.error();
    if (const auto known = catalog::find_manifest(tx, id, digest)) {
      manifest = known->id;
    } else {
      manifest = catalog::insert_manifest(tx, id, catalog::NewManifest{push.manifest, digest, push.bytes},
                                          now, push.actor.principal.name());
      audit::append(tx, audit::Event{"manifest.push", push.repository.str(), {}, std::nullopt, digest},
                    push.actor, now);
      // A push without a tag may stay without one.
      if (tags.empty()) catalog::queue_review(tx, "manifest", digest, now + review_delay_microseconds);
    }
    for (const Tag& tag : tags) {
      auto bound = bind_tag(tx, id, push.repository, tag, manifest, digest, push.actor, now);
      if (!bound) return bound.error();
    }
    return {};
  });
  const Result<void> stored = co_await pending;
  if (!stored) co_return stored.error();
  PushedManifest pushed{digest, std::nullopt};
  if (push.manifest.subject()) pushed.subject = push.manifest.subject()->digest;
  co_return pushed;
}

Task<Result<bool>> Registry::mount_blob(BlobMount mount) {
  parts_.leases.take(mount.digest);
  auto pending = parts_.writer.write({"digest:" + mount.digest.str()}, [&](sql::Tx& tx) -> Result<bool> {
    bool available = false;
    if (mount.from) {
      available = catalog::find_blob_in(tx, *mount.from, mount.digest).has_value();
    } else {
      available = !catalog::repositories_with_blob(tx, mount.digest, mount_candidates).empty();
    }
    const auto blob = catalog::find_blob(tx, mount.digest);
    if (!available || !blob || blob->state != catalog::BlobState::live) return false;
    const Timestamp now = parts_.clock.now();
    const auto id = catalog::ensure_repository(tx, mount.repository, now);
    if (catalog::repository_has_blob(tx, id, mount.digest)) return true;
    catalog::link_blob(tx, id, mount.digest, now);
    audit::append(tx, audit::Event{"blob.mount", mount.repository.str(), {}, std::nullopt, mount.digest},
                  mount.actor, now);
    catalog::queue_review(tx, "blob", mount.digest, now + review_delay_microseconds);
    return true;
  });
  co_return co_await pending;
}

}  // namespace stele
