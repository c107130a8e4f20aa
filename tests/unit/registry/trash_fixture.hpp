#pragma once
// A registry of complete images, from which lifecycle has removed what a test says.

#include <string>
#include <vector>

#include "gc/collector.hpp"
#include "registry/ruled_write.hpp"
#include "registry/tag_history.hpp"
#include "registry/trash.hpp"
#include "storage/catalog/pulls.hpp"
#include "tests/unit/registry/rules_fixture.hpp"

namespace stele::rules_test {

class TrashFixture : public RulesFixture {
 public:
  static constexpr std::int64_t day = 24 * 3600;
  static constexpr std::int64_t kept_days = 14;

  explicit TrashFixture(ReferenceMode mode = ReferenceMode::strict, const RegistryPlace& place = {})
      : RulesFixture(mode, place) {
    pass(Leases::default_seconds + 1);  // it has run for longer than a lease
  }

  // The wall and the boot clock go on together, as they do.
  void pass(std::int64_t seconds) {
    clock.advance(seconds);
    boot.advance(seconds);
  }

  // An image whose blobs are pushed first; its digest.
  Digest push(const std::vector<std::string>& layers, const std::vector<std::string>& tags,
              const std::string& repository = "a", const std::string& subject = "",
              const std::string& version = "") {
    push_blob(repository, "{}");
    for (const std::string& layer : layers) push_blob(repository, layer);
    return push_bytes(image(layers, version, "", subject), tags, repository);
  }
  Digest push_index(const std::vector<std::string>& children, const std::vector<std::string>& tags) {
    return push_bytes(index_of(children), tags, "a", media_type::oci_index);
  }
  Digest push_bytes(const std::string& bytes, const std::vector<std::string>& tags,
                    const std::string& repository = "a", std::string_view type = media_type::oci_manifest) {
    const auto pushed = try_push(bytes, tags, repository, type);
    INFO((pushed ? std::string() : pushed.error().message()));
    REQUIRE(pushed.has_value());
    return pushed->digest;
  }
  Result<PushedManifest> try_push(const std::string& bytes, const std::vector<std::string>& tags,
                                  const std::string& repository = "a",
                                  std::string_view type = media_type::oci_manifest) {
    const auto manifest = Manifest::parse(type, bytes);
    REQUIRE(manifest.has_value());
    std::vector<Tag> wanted;
    for (const auto& text : tags) wanted.push_back(tag(text));
    return sync_wait(registry->put_manifest(ManifestPush{name(repository), digest_of(bytes), wanted,
                                                         *manifest, bytes, DigestAlgorithm::sha256, actor}));
  }

  // As a run of lifecycle does it: the manifest's tags, then the manifest. The item's id.
  std::int64_t throw_away(const Digest& digest, std::int64_t run = 7, const std::string& repository = "a") {
    return write_under(repository, [&, run](sql::Tx& tx, catalog::RepositoryId id, TagRules& rules) {
      const auto of = name(repository);
      const auto manifest = catalog::find_manifest(tx, id, digest).value().id;
      return discard(tx, id, digest, manifest, catalog::tags_of_manifest(tx, manifest, 99), of, rules, run);
    });
  }
  // Only the tag.
  std::int64_t throw_away_tag(const std::string& text, std::int64_t run = 7) {
    return write_under("a", [&, run](sql::Tx& tx, catalog::RepositoryId id, TagRules& rules) {
      const auto bound = catalog::find_tag(tx, id, name("a"), tag(text));
      return discard(tx, id, (*bound)->digest, std::nullopt, {tag(text)}, name("a"), rules, run);
    });
  }

  // Empty, or the reason of the refusal.
  std::string restore(std::int64_t id, bool skip_taken = false) {
    auto done = sync_wait(Trash(context()).restore({id, skip_taken, actor}));
    if (done) restored = *done;
    return outcome(done);
  }
  std::string erase(std::int64_t id) { return outcome(sync_wait(Trash(context()).erase(id, actor))); }
  ErasedDue erase_due(std::int64_t limit = 100) {
    const auto done = sync_wait(Trash(context()).erase_due(limit));
    REQUIRE(done.has_value());
    return *done;
  }

  // Steps until nothing is due; how many blobs went.
  std::uint64_t collect() {
    gc::Collector collector(context());
    for (std::uint64_t removed = 0;;) {
      const auto step = sync_wait(collector.step());
      REQUIRE(step.has_value());
      if (step->reviews == 0) return removed;
      removed += step->blobs_removed;
    }
  }
  std::uint64_t collect_later() {
    std::uint64_t removed = 0;
    for (int i = 0; i < 4; ++i) {  // a link that is leased, or young, is looked at again a lease later
      pass(Leases::default_seconds + 1);
      removed += collect();
    }
    return removed;
  }

  bool has(const Digest& digest, const std::string& repository = "a") {
    const auto of = name(repository);
    return sync_wait(registry->manifest(of, digest)).has_value();
  }
  bool has_file(const Digest& digest) { return blobs->open(digest).has_value(); }

  // Everything that the catalog knows of a manifest but its row's number.
  std::string row_of(const Digest& digest, const std::string& repository = "a") {
    return database
        ->read([&](sql::Session& session) -> Result<std::string> {
          auto row = session.query(
              "SELECT m.media_type, m.artifact_type, coalesce(m.subject, '-'), m.size, "
              "coalesce(m.referrer_descriptor, '-'), m.checksum, m.created_at, m.created_by, hex(m.bytes), "
              "coalesce(u.pulled_at, 0), (SELECT group_concat(kind || digest) FROM (SELECT kind, digest FROM "
              "manifest_references WHERE manifest_id = m.id ORDER BY kind, digest)) FROM manifests m JOIN "
              "repositories r ON r.id = m.repository_id LEFT JOIN manifest_use u ON u.manifest_id = m.id "
              "WHERE r.name = $1 AND m.digest = $2",
              repository, digest.str());
          std::string text;
          if (row.next()) {
            for (int i = 0; i < 11; ++i) text += std::string(row.text(i)) + '|';
          }
          return text;
        })
        .value();
  }

  std::optional<Restored> restored;

 private:
  Result<std::int64_t> discard(sql::Tx& tx, catalog::RepositoryId id, const Digest& digest,
                               std::optional<catalog::ManifestId> manifest, const std::vector<Tag>& tags,
                               const RepositoryName& of, TagRules& rules, std::int64_t run) {
    std::vector<catalog::TrashedTag> gone;
    for (const Tag& tag : tags) {
      const auto bound = catalog::find_tag(tx, id, of, tag);
      gone.push_back({tag, (*bound)->pushed_at, (*bound)->pushed_by});
      if (auto removed = rules.remove_expired(tag, **bound, {run, "ci", "old"}); !removed)
        return removed.error();
    }
    const Timestamp now = clock.now();
    return catalog::put_in_trash(
        tx, {run, id, digest, manifest, gone, now, now + kept_days * day * 1'000'000, "ci", "old"});
  }
  template <class F>
  std::int64_t write_under(const std::string& repository, F body) {
    std::int64_t added = 0;
    const auto of = name(repository);
    const auto everything = context();
    const RuledBody write = [&](sql::Tx& tx, Orderings& orderings) -> Result<void> {
      const auto id = catalog::find_repository(tx, of).value();
      TagRules rules(tx, everything, id, of, actor, orderings);
      const Result<std::int64_t> done = body(tx, id, rules);
      if (!done) return done.error();
      added = *done;
      return {};
    };
    const Result<void> written = sync_wait(write_under_rules(everything, {}, of, std::nullopt, write));
    INFO((written ? std::string() : written.error().message()));
    REQUIRE(written.has_value());
    return added;
  }
};

}  // namespace stele::rules_test
