#include <algorithm>

#include "registry/preconditions.hpp"
#include "registry/quota.hpp"
#include "registry/registry.hpp"
#include "registry/ruled_write.hpp"
#include "storage/catalog/collection.hpp"
#include "storage/catalog/trash.hpp"

namespace stele {
namespace {

constexpr std::int64_t mount_candidates = 100;

// Whether the blob's file is there and as long as the catalog says; also true for a blob that it does not
// list.
Result<bool> file_is_whole(const RegistryContext& context, const Digest& digest) {
  const auto known =
      context.database.read([&](sql::Session& session) -> Result<std::optional<catalog::BlobInfo>> {
        return catalog::find_blob(session, digest);
      });
  if (!known) return known.error();
  if (!*known || (*known)->state != catalog::BlobState::live) return true;
  const auto reader = context.blobs.open(digest);
  if (!reader && reader.error().code() != Errc::blob_unknown) return reader.error();
  const bool whole = reader && (*reader)->size() == (*known)->size;
  if (!whole) context.quarantine.suspect(digest);
  return whole;
}

}  // namespace

Task<Result<Manifest>> Registry::parse_manifest(std::string_view content_type, std::string_view bytes) {
  constexpr std::size_t parsed_here = 64 * 1024;
  if (bytes.size() <= parsed_here) co_return Manifest::parse(content_type, bytes);
  auto pending = context_.db.start([&] { return Manifest::parse(content_type, bytes); });
  co_return co_await pending;
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

  context_.leases.take(digest);
  sql::Keys keys{"digest:" + digest.str()};
  for (const Tag& tag : tags) keys.push_back("tag:" + push.repository.str() + ":" + tag.str());

  // Refers to this frame, which waits for it.
  const RuledBody body = [&](sql::Tx& tx, Orderings& orderings) -> Result<void> {
    if (push.conditions) {
      const auto present = present_digest(tx, push.repository, push.reference);
      if (!present) return present.error();
      if (auto unmet = push.conditions->unmet(*present)) return *unmet;
    }
    const Timestamp now = context_.clock.now();
    const auto id = catalog::ensure_repository(tx, push.repository, now);
    const QuotaCheck quota(tx, context_, id, push.repository);
    catalog::ManifestId manifest{};
    // Also for a manifest that is there: it may have come while its repository took manifests with gaps.
    if (auto complete = check_references(context_, tx, id, push.repository, push.manifest); !complete)
      return complete.error();
    if (const auto known = catalog::find_manifest(tx, id, digest)) {
      manifest = known->id;
      if (tags.empty()) catalog::note_untagged(tx, manifest, now);  // its age begins anew
    } else {
      manifest = catalog::insert_pushed(tx, id, catalog::NewManifest{push.manifest, digest, push.bytes}, now,
                                        push.actor.principal.name());
      audit::append(tx, audit::Event{"manifest.push", push.repository.str(), {}, std::nullopt, digest},
                    push.actor, now);
    }
    TagRules rules(tx, context_, id, push.repository, push.actor, orderings);
    if (auto bound = rules.bind_all(tags, manifest, digest); !bound) return bound.error();
    if (push.bound_by_quota) return quota.done();
    return {};
  };
  const OfferedManifest offered{digest, push.bytes, push.repository};
  const Result<void> stored =
      co_await write_under_rules(context_, std::move(keys), push.repository, offered, body);
  if (!stored) co_return stored.error();
  PushedManifest pushed{digest, std::nullopt};
  if (push.manifest.subject()) pushed.subject = push.manifest.subject()->digest;
  co_return pushed;
}

Task<Result<bool>> Registry::mount_blob(BlobMount mount) {
  context_.leases.take(mount.digest);
  const auto whole = file_is_whole(context_, mount.digest);
  if (!whole) co_return whole.error();
  if (!*whole) co_return false;  // the client uploads, which mends it
  auto pending = context_.writer.write({"digest:" + mount.digest.str()}, [&](sql::Tx& tx) -> Result<bool> {
    bool available = false;
    if (mount.from) {
      available = catalog::find_blob_in(tx, *mount.from, mount.digest).has_value();
    } else {
      const auto holders = catalog::repositories_with_blob(tx, mount.digest, mount_candidates);
      available = std::any_of(holders.begin(), holders.end(),
                              [&](const std::string& holder) { return !mount.sees || mount.sees(holder); });
    }
    const auto blob = catalog::find_blob(tx, mount.digest);
    if (!available || !blob || blob->state != catalog::BlobState::live) return false;
    if (context_.quarantine.holds(mount.digest)) return false;  // the client uploads, which mends it
    const Timestamp now = context_.clock.now();
    const auto id = catalog::ensure_repository(tx, mount.repository, now);
    if (catalog::repository_has_blob(tx, id, mount.digest)) return true;
    const QuotaCheck quota(tx, context_, id, mount.repository);
    catalog::link_blob(tx, id, mount.digest, now);
    if (auto room = quota.done(); !room) return room.error();
    audit::append(tx, audit::Event{"blob.mount", mount.repository.str(), {}, std::nullopt, mount.digest},
                  mount.actor, now);
    catalog::queue_review(tx, id, mount.digest, now + context_.leases.microseconds());
    return true;
  });
  co_return co_await pending;
}

}  // namespace stele
