#include <deque>
#include <set>

#include "base/manifest.hpp"
#include "registry/ruled_write.hpp"
#include "registry/signature_tags.hpp"
#include "registry/tag_moves.hpp"
#include "registry/unknown.hpp"
#include "storage/catalog/trash.hpp"

namespace stele {
namespace {

constexpr std::int64_t most_referrers = 10'000;  // of one manifest
constexpr int deepest_index = 32;

Result<catalog::StoredManifest> load(sql::Session& session, const RepositoryName& repository,
                                     const Digest& digest) {
  auto stored = catalog::manifest_by_digest(session, repository, digest);
  if (!stored) return stored.error();
  if (!*stored) return unknown_manifest(repository, Reference(digest));
  return std::move(**stored);
}

// One promotion inside its transaction: takes manifests over in the order in which they need each other.
class Takeover {
 public:
  Takeover(sql::Tx& tx, const RegistryParts& parts, const Promotion& asked, catalog::RepositoryId from,
           catalog::RepositoryId to, Timestamp now)
      : tx_(tx), parts_(parts), asked_(asked), from_(from), to_(to), now_(now) {}

  // The manifest, what it needs, and what refers to it, to the last one.
  Result<void> take(const Digest& digest) {
    std::deque<Digest> waiting{digest};
    for (; !waiting.empty(); waiting.pop_front()) {
      if (auto taken = take_needed(waiting.front(), 0, waiting); !taken) return taken;
    }
    return {};
  }

  // Tags named after a digest that was taken over; those that the target has stay as they are there.
  Result<void> take_signatures(TagRules& rules) {
    const auto digests = seen_;  // signatures are manifests too
    for (const std::string& text : digests) {
      const Digest digest = Digest::parse(text).value();
      for (const Tag& tag : signature_tags(digest)) {
        const auto there = catalog::find_tag(tx_, from_, asked_.from, tag);
        if (!there) return there.error();
        const auto here = catalog::find_tag(tx_, to_, asked_.to, tag);
        if (!here) return here.error();
        if (!*there || *here) continue;
        if (auto taken = take((*there)->digest); !taken) return taken;
        const auto manifest = catalog::find_manifest(tx_, to_, (*there)->digest);
        auto bound = rules.bind(tag, manifest.value().id, (*there)->digest, Road{"tag.promote", origin()});
        if (!bound) return bound;
      }
    }
    return {};
  }

  std::string_view origin() const { return asked_.from.str(); }
  std::size_t manifests() const { return manifests_; }
  std::size_t blobs() const { return blobs_; }

 private:
  // Children before their index. What refers to what was taken is added to `referrers`.
  Result<void> take_needed(const Digest& digest, int depth, std::deque<Digest>& referrers) {
    if (!seen_.insert(digest.str()).second) return {};
    if (seen_.size() > TagMoves::most_manifests) {
      return Error(Errc::parameter_invalid, "more than " + std::to_string(TagMoves::most_manifests) +
                                                " manifests hang on this one; promote them in parts");
    }
    if (depth > deepest_index) {
      return Error(Errc::parameter_invalid, "indexes are nested more than " + std::to_string(deepest_index) +
                                                " deep in " + asked_.from.str());
    }
    const auto stored = load(tx_, asked_.from, digest);
    if (!stored) return stored.error();
    const auto manifest = Manifest::parse(stored->media_type, stored->bytes);
    if (!manifest) return manifest.error();
    if (manifest->config()) link(manifest->config()->digest);
    for (const Descriptor& layer : manifest->layers()) link(layer.digest);
    for (const Descriptor& entry : manifest->entries()) {
      if (!catalog::find_manifest(tx_, from_, entry.digest)) {
        link(entry.digest);  // buildkit's cache export lists layers
      } else if (auto taken = take_needed(entry.digest, depth + 1, referrers); !taken) {
        return taken;
      }
    }
    for (Digest& referrer : catalog::referring_to(tx_, from_, digest, most_referrers))
      referrers.push_back(std::move(referrer));
    return store(digest, *stored, *manifest);
  }

  void link(const Digest& digest) {
    if (!catalog::repository_has_blob(tx_, from_, digest) || catalog::repository_has_blob(tx_, to_, digest))
      return;
    parts_.leases.take(digest);
    catalog::link_blob(tx_, to_, digest, now_);
    audit::append(tx_, audit::Event{"blob.mount", asked_.to.str(), {}, std::nullopt, digest, {}, origin()},
                  asked_.actor, now_);
    ++blobs_;
  }

  Result<void> store(const Digest& digest, const catalog::StoredManifest& stored, const Manifest& manifest) {
    if (auto complete = check_references(parts_, tx_, to_, asked_.to, manifest); !complete) return complete;
    parts_.leases.take(digest);
    if (catalog::find_manifest(tx_, to_, digest)) return {};
    catalog::insert_pushed(tx_, to_, catalog::NewManifest{manifest, digest, stored.bytes}, now_,
                           asked_.actor.principal.name());
    audit::append(tx_,
                  audit::Event{"manifest.promote", asked_.to.str(), {}, std::nullopt, digest, {}, origin()},
                  asked_.actor, now_);
    ++manifests_;
    return {};
  }

  sql::Tx& tx_;
  const RegistryParts& parts_;
  const Promotion& asked_;
  const catalog::RepositoryId from_, to_;
  const Timestamp now_;
  std::set<std::string> seen_;
  std::size_t manifests_ = 0;
  std::size_t blobs_ = 0;
};

}  // namespace

Task<Result<Promoted>> TagMoves::promote(Promotion asked) const {
  // A tag is followed once, here: what is promoted is what it pointed to when it was asked for.
  const auto found = parts_.database.read([&](sql::Session& session) -> Result<catalog::StoredManifest> {
    if (!catalog::find_repository(session, asked.from)) return unknown_repository(asked.from);
    auto stored = asked.reference.tag()
                      ? catalog::manifest_by_tag(session, asked.from, *asked.reference.tag())
                      : catalog::manifest_by_digest(session, asked.from, *asked.reference.digest());
    if (!stored) return stored.error();
    if (!*stored) return unknown_manifest(asked.from, asked.reference);
    return std::move(**stored);
  });
  if (!found) co_return found.error();
  const catalog::StoredManifest& source = *found;
  const Digest digest = source.digest;
  if (asked.tags.empty() && asked.reference.tag()) asked.tags.push_back(*asked.reference.tag());
  const bool elsewhere = asked.from != asked.to;

  Promoted promoted{digest, asked.tags};
  const RuledBody body = [&](sql::Tx& tx, const Orderings& orderings,
                             std::vector<Digest>& missing) -> Result<void> {
    const auto from = catalog::find_repository(tx, asked.from);
    if (!from) return unknown_repository(asked.from);
    const Timestamp now = parts_.clock.now();
    const auto to = catalog::ensure_repository(tx, asked.to, now);
    TagRules rules(tx, parts_, to, asked.to, asked.actor, orderings);
    Takeover takeover(tx, parts_, asked, *from, to, now);
    if (elsewhere) {
      if (auto taken = takeover.take(digest); !taken) return taken;
      auto signatures = takeover.take_signatures(rules);
      missing = rules.missing();
      if (!signatures) return signatures;
    }
    const auto manifest = catalog::find_manifest(tx, to, digest);
    if (!manifest) return unknown_manifest(asked.from, asked.reference);
    const std::string origin = asked.from.str() + "@" + digest.str();
    const Road road{elsewhere ? "tag.promote" : "tag.retag", origin};
    for (const Tag& tag : asked.tags) {
      auto bound = rules.bind(tag, manifest->id, digest, road);
      missing = rules.missing();
      if (!bound) return bound;
    }
    promoted.manifests = takeover.manifests();
    promoted.blobs = takeover.blobs();
    return {};
  };
  sql::Keys keys{"digest:" + digest.str()};
  for (const Tag& tag : asked.tags) keys.push_back("tag:" + asked.to.str() + ":" + tag.str());
  const Offered offered{digest, source.bytes, asked.from};
  const Result<void> written = co_await write_under_rules(parts_, std::move(keys), asked.to, offered, body);
  if (!written) co_return written.error();
  co_return promoted;
}

}  // namespace stele
