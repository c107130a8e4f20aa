#include "base/manifest.hpp"
#include "registry/promotion_plan.hpp"
#include "registry/quota.hpp"
#include "registry/ruled_write.hpp"
#include "registry/tag_moves.hpp"
#include "registry/unknown.hpp"
#include "storage/catalog/trash.hpp"

namespace stele {
namespace {

Result<catalog::StoredManifest> load(sql::Session& session, const RepositoryName& repository,
                                     const Digest& digest) {
  auto stored = catalog::manifest_by_digest(session, repository, digest);
  if (!stored) return stored.error();
  if (!*stored) return unknown_manifest(repository, Reference(digest));
  return std::move(**stored);
}

// A manifest as it is in the source, read and parsed outside the writer.
struct Loaded {
  Manifest manifest;
  std::string bytes;
  const PlannedManifest& planned;
};

Result<std::vector<Loaded>> load_all(sql::Session& session, const RepositoryName& from,
                                     std::span<const PlannedManifest> planned) {
  std::vector<Loaded> all;
  for (const PlannedManifest& item : planned) {
    auto stored = load(session, from, item.digest);
    if (!stored) return stored.error();
    auto manifest = Manifest::parse(stored->media_type, stored->bytes);
    if (!manifest) return manifest.error();
    all.push_back({std::move(*manifest), std::move(stored->bytes), item});
  }
  return all;
}

// One write of a promotion, inside its transaction.
class Takeover {
 public:
  Takeover(sql::Tx& tx, const RegistryContext& context, const Promotion& asked, catalog::RepositoryId from,
           catalog::RepositoryId to, Timestamp now)
      : tx_(tx), context_(context), asked_(asked), from_(from), to_(to), now_(now) {}

  Result<void> take(const Loaded& item) {
    const Manifest& manifest = item.manifest;
    if (manifest.config()) link(manifest.config()->digest);
    for (const Digest& layer : digests_of(manifest.layers())) link(layer);
    for (const Digest& entry : digests_of(manifest.entries())) {
      if (!catalog::find_manifest(tx_, to_, entry)) link(entry);  // buildkit's cache export
    }
    if (auto complete = check_references(context_, tx_, to_, asked_.to, manifest); !complete) return complete;
    const Digest& digest = item.planned.digest;
    context_.leases.take(digest);
    if (catalog::find_manifest(tx_, to_, digest)) return {};
    catalog::insert_pushed(tx_, to_, catalog::NewManifest{manifest, digest, item.bytes}, now_,
                           asked_.actor.principal.name());
    audit::append(tx_,
                  audit::Event{"manifest.promote", asked_.to.str(), {}, std::nullopt, digest, {}, origin()},
                  asked_.actor, now_);
    ++manifests_;
    return {};
  }

  // Tags that name it the signature of something; those that the target has stay as they are there.
  Result<void> take_tags(const PlannedManifest& planned, TagRules& rules) {
    for (const Tag& tag : planned.tags) {
      const auto here = catalog::find_tag(tx_, to_, asked_.to, tag);
      if (!here) return here.error();
      if (*here) continue;
      const auto manifest = catalog::find_manifest(tx_, to_, planned.digest);
      auto bound = rules.bind(tag, manifest.value().id, planned.digest, Cause{"tag.promote", origin()});
      if (!bound) return bound;
    }
    return {};
  }

  std::size_t manifests() const { return manifests_; }
  std::size_t blobs() const { return blobs_; }

 private:
  std::string_view origin() const { return asked_.from.str(); }

  void link(const Digest& digest) {
    if (!catalog::repository_has_blob(tx_, from_, digest) || catalog::repository_has_blob(tx_, to_, digest))
      return;
    context_.leases.take(digest);
    catalog::link_blob(tx_, to_, digest, now_);
    audit::append(tx_, audit::Event{"blob.mount", asked_.to.str(), {}, std::nullopt, digest, {}, origin()},
                  asked_.actor, now_);
    ++blobs_;
  }

  sql::Tx& tx_;
  const RegistryContext& context_;
  const Promotion& asked_;
  const catalog::RepositoryId from_, to_;
  const Timestamp now_;
  std::size_t manifests_ = 0;
  std::size_t blobs_ = 0;
};

// Every tag is asked, so that one condition is meant for tags that point to the same.
Result<void> ask_conditions(sql::Session& session, const Promotion& asked) {
  for (const Tag& tag : asked.tags) {
    const auto present = present_digest(session, asked.to, Reference(tag));
    if (!present) return present.error();
    if (auto unmet = asked.conditions.unmet(*present)) return std::move(*unmet);
  }
  return {};
}

// What to promote. A tag is followed once, here: it is what it pointed to when it was asked for. Its bytes
// are read and verified once: here when it only gets further names, otherwise with what is taken over.
Result<Digest> source_of(sql::Session& session, const Promotion& asked, bool elsewhere) {
  if (!catalog::find_repository(session, asked.from)) return unknown_repository(asked.from);
  const std::uint64_t most = elsewhere ? 0 : UINT64_MAX;
  auto stored = asked.reference.tag()
                    ? catalog::manifest_by_tag(session, asked.from, *asked.reference.tag(), most)
                    : catalog::manifest_by_digest(session, asked.from, *asked.reference.digest(), most);
  if (!stored) return stored.error();
  if (!*stored) return unknown_manifest(asked.from, asked.reference);
  return std::move((*stored)->digest);
}

sql::Keys keys_of(const Promotion& asked, const std::vector<Loaded>& items, bool last) {
  sql::Keys keys;
  const auto add_tag = [&](const Tag& tag) { keys.push_back("tag:" + asked.to.str() + ":" + tag.str()); };
  for (const Loaded& item : items) {
    keys.push_back("digest:" + item.planned.digest.str());
    for (const Tag& tag : item.planned.tags) add_tag(tag);
  }
  for (const Tag& tag : asked.tags) {
    if (last) add_tag(tag);
  }
  return keys;
}

}  // namespace

Task<Result<Promoted>> TagMoves::promote(Promotion asked) const {
  const bool elsewhere = asked.from != asked.to;
  if (asked.tags.empty() && asked.reference.tag()) asked.tags.push_back(*asked.reference.tag());
  KeyedMutex::Guard turn;  // until the last write: only so many promotions have manifests in memory
  if (elsewhere) turn = co_await context_.digest_locks.lock(turn_of(asked.to));
  PromotionPlan plan;
  auto planning = context_.db.start([&]() -> Result<Digest> {
    return context_.database.read([&](sql::Session& session) -> Result<Digest> {
      auto found = source_of(session, asked, elsewhere);
      if (!found) return found;
      if (auto met = ask_conditions(session, asked); !met) return met.error();
      if (!elsewhere) return found;
      auto planned = plan_promotion(session, asked.from, asked.to, *found);
      if (!planned) return planned.error();
      plan = std::move(*planned);
      return found;
    });
  });
  const Result<Digest> source = co_await planning;
  if (!source) co_return source.error();

  Promoted promoted{*source, asked.tags};
  std::span<const PlannedManifest> left(plan);
  for (const std::size_t count : writes_of(plan)) {
    const auto step = left.first(count);
    left = left.subspan(count);
    const Result<void> written = co_await promote_step(asked, *source, step, left.empty(), promoted);
    if (!written) co_return written.error();
  }
  co_return promoted;
}

Task<Result<void>> TagMoves::promote_step(const Promotion& asked, const Digest& source,
                                          std::span<const PlannedManifest> planned, bool last,
                                          Promoted& promoted) const {
  auto loading = context_.db.start([&] {
    return context_.database.read(
        [&](sql::Session& session) { return load_all(session, asked.from, planned); });
  });
  const Result<std::vector<Loaded>> items = co_await loading;
  if (!items) co_return items.error();

  std::size_t manifests = 0, blobs = 0;  // of the run of the closure that is committed
  const RuledBody body = [&](sql::Tx& tx, Orderings& orderings) -> Result<void> {
    const auto from = catalog::find_repository(tx, asked.from);
    if (!from) return unknown_repository(asked.from);
    if (last) {
      if (auto met = ask_conditions(tx, asked); !met) return met;
    }
    const Timestamp now = context_.clock.now();
    const auto to = catalog::ensure_repository(tx, asked.to, now);
    const QuotaCheck quota(tx, context_, to, asked.to);
    TagRules rules(tx, context_, to, asked.to, asked.actor, orderings);
    Takeover takeover(tx, context_, asked, *from, to, now);
    for (const Loaded& item : *items) {
      if (auto taken = takeover.take(item); !taken) return taken;
      auto tagged = takeover.take_tags(item.planned, rules);
      if (!tagged) return tagged;
    }
    if (last) {
      const auto manifest = catalog::find_manifest(tx, to, source);
      if (!manifest) return unknown_manifest(asked.from, asked.reference);
      std::string origin = asked.origin;
      if (origin.empty()) origin = asked.from.str() + "@" + source.str();
      const Cause cause{asked.from != asked.to ? "tag.promote" : "tag.retag", origin};
      auto bound = rules.bind_all(asked.tags, manifest->id, source, cause);
      if (!bound) return bound;
    }
    manifests = takeover.manifests();
    blobs = takeover.blobs();
    return quota.done();
  };
  sql::Keys keys = keys_of(asked, *items, last);
  // Unless it is among these the target has it, and its version is read from there.
  std::optional<OfferedManifest> offered;
  for (const Loaded& item : *items) {
    if (item.planned.digest == source) offered.emplace(OfferedManifest{source, item.bytes, asked.from});
  }
  const Result<void> written =
      co_await write_under_rules(context_, std::move(keys), asked.to, std::move(offered), body);
  if (!written) co_return written;
  promoted.manifests += manifests;
  promoted.blobs += blobs;
  co_return written;
}

}  // namespace stele
