#include "gc/fsck_sections.hpp"

#include <algorithm>
#include <utility>

#include "base/media_type.hpp"
#include "storage/catalog/in_use.hpp"
#include "storage/catalog/usage.hpp"

namespace stele::gc {
namespace {

using catalog::RowKey;

std::string tagged(const std::string& repository, const std::string& tag) {
  return (repository.empty() ? "(no repository)" : repository) + ":" + tag;
}
std::string by_digest(const std::string& repository, const std::string& digest) {
  return (repository.empty() ? "(no repository)" : repository) + "@" + digest;
}

std::optional<Digest> digest_of(const std::string& text) {
  auto digest = Digest::parse(text);
  if (!digest) return std::nullopt;
  return std::move(*digest);
}

// Calls `judge` for each row of a page, with the key of the row before.
template <class Row, class F>
std::int64_t each(const std::vector<Row>& page, RowKey& at, F judge) {
  for (const Row& row : page) {
    judge(row, at);
    at = row.key;
  }
  return static_cast<std::int64_t>(page.size());
}

class Tags final : public Section {
 public:
  std::string_view name() const override { return "tags"; }
  std::int64_t look(sql::Session& session, RowKey& at, std::int64_t limit,
                    std::vector<Suspicion>& found) const override {
    return each(
        catalog::tags_to_check(session, at, limit), at,
        [&](const catalog::TagToCheck& tag, const RowKey& before) {
          if (!tag.digest.empty() && tag.sound) return;
          const Problem problem = tag.digest.empty() || tag.repository.empty() ? Problem::tag_without_manifest
                                                                               : Problem::tag_damaged;
          found.push_back(
              {problem, tagged(tag.repository, tag.tag), tag.repository, digest_of(tag.digest), before, {}});
        });
  }
};

bool is_right(const catalog::ManifestToCheck& manifest) {
  const auto digest = digest_of(manifest.digest);
  return manifest.sound && digest && Digest::of(digest->algorithm(), manifest.bytes) == *digest;
}

class Manifests final : public Section {
 public:
  explicit Manifests(const RegistryContext& context) : context_(context) {}
  std::string_view name() const override { return "manifests"; }
  std::int64_t look(sql::Session& session, RowKey& at, std::int64_t limit,
                    std::vector<Suspicion>& found) const override {
    return each(catalog::manifests_to_check(session, at, std::min(limit, most)), at,
                [&](const catalog::ManifestToCheck& manifest, const RowKey& before) {
                  judge(session, manifest, before, found);
                });
  }

 private:
  static constexpr std::int64_t most = 100;  // of a page: they may be of 4 MiB each

  void judge(sql::Session& session, const catalog::ManifestToCheck& row, const RowKey& before,
             std::vector<Suspicion>& found) const {
    const std::string what = by_digest(row.repository, row.digest);
    const auto manifest = Manifest::parse(row.media_type, row.bytes);
    const auto repository = RepositoryName::parse(row.repository);
    if (!is_right(row) || !manifest || !repository) {
      found.push_back({Problem::manifest_damaged, what, row.repository, digest_of(row.digest), before, {}});
      return;
    }
    const bool strict = context_.references.mode(*repository) == ReferenceMode::strict;
    auto recorded = catalog::references_of(session, row.id);
    std::sort(recorded.begin(), recorded.end());
    const auto refers = [&](const char* kind, const Digest& digest, bool there) {
      catalog::ReferenceRow reference{kind, digest.str()};
      if (!std::binary_search(recorded.begin(), recorded.end(), reference)) {
        found.push_back({Problem::reference_unrecorded, what + " → " + kind + " " + digest.str(),
                         row.repository, digest, before,
                         [id = row.id, in = row.repository_id, reference](sql::Tx& tx) {
                           catalog::add_reference(tx, in, id, reference);
                         }});
      }
      if (strict && !there) {
        found.push_back({Problem::reference_missing,
                         what + " needs " + kind + " " + digest.str(),
                         row.repository,
                         digest,
                         before,
                         {}});
      }
    };
    const auto has_blob = [&](const Digest& digest) {
      return catalog::repository_has_blob(session, row.repository_id, digest);
    };
    if (manifest->config())
      refers("config", manifest->config()->digest, has_blob(manifest->config()->digest));
    for (const Descriptor& layer : manifest->layers()) {
      refers("layer", layer.digest,
             media_type::is_nondistributable(layer.media_type) || has_blob(layer.digest));
    }
    for (const Descriptor& entry : manifest->entries()) {
      refers("entry", entry.digest,
             catalog::has_manifest(session, row.repository_id, entry.digest) || has_blob(entry.digest));
    }
    if (manifest->subject()) refers("subject", manifest->subject()->digest, true);
  }

  const RegistryContext& context_;
};

class Trash final : public Section {
 public:
  std::string_view name() const override { return "trash"; }
  std::int64_t look(sql::Session& session, RowKey& at, std::int64_t limit,
                    std::vector<Suspicion>& found) const override {
    return each(catalog::trash_to_check(session, at, std::min<std::int64_t>(limit, 100)), at,
                [&](const catalog::ManifestToCheck& manifest, const RowKey& before) {
                  if (is_right(manifest)) return;
                  found.push_back({Problem::trash_damaged,
                                   "trash " + std::to_string(manifest.key.first) + ", " +
                                       by_digest(manifest.repository, manifest.digest),
                                   manifest.repository,
                                   digest_of(manifest.digest),
                                   before,
                                   {}});
                });
  }
};

class Owners final : public Section {
 public:
  explicit Owners(const catalog::Belonging& belonging)
      : belonging_(belonging), name_("rows of " + std::string(belonging.child)) {}
  std::string_view name() const override { return name_; }
  std::int64_t look(sql::Session& session, RowKey& at, std::int64_t limit,
                    std::vector<Suspicion>& found) const override {
    return each(catalog::owners_to_check(session, belonging_, at, limit), at,
                [&](const catalog::OwnerToCheck& row, const RowKey& before) {
                  if (row.there) return;
                  Suspicion suspicion{Problem::row_without_owner,
                                      std::string(belonging_.child) + "." + std::string(belonging_.column) +
                                          " " + std::to_string(row.owner) + ", which " +
                                          std::string(belonging_.parent) + " does not have",
                                      {},
                                      std::nullopt,
                                      before,
                                      {}};
                  if (belonging_.removable) {
                    suspicion.mend = [this, owner = row.owner](sql::Tx& tx) {
                      catalog::remove_ownerless(tx, belonging_, owner);
                    };
                  }
                  found.push_back(std::move(suspicion));
                });
  }

 private:
  const catalog::Belonging& belonging_;
  const std::string name_;
};

class Links final : public Section {
 public:
  explicit Links(const RegistryContext& context) : context_(context) {}
  std::string_view name() const override { return "links"; }
  std::int64_t look(sql::Session& session, RowKey& at, std::int64_t limit,
                    std::vector<Suspicion>& found) const override {
    return each(
        catalog::links_to_check(session, at, limit), at,
        [&](const catalog::LinkToCheck& link, const RowKey& before) {
          const auto digest = digest_of(link.digest);
          // Without repository or blob: told of as a row without an owner.
          if (link.needed || link.queued || link.repository.empty() || !digest) return;
          found.push_back({Problem::link_forgotten, by_digest(link.repository, link.digest), link.repository,
                           digest, before, [this, in = link.repository_id, digest](sql::Tx& tx) {
                             catalog::queue_review(tx, in, *digest,
                                                   context_.clock.now() + context_.leases.microseconds());
                           }});
        });
  }

 private:
  const RegistryContext& context_;
};

class Blobs final : public Section {
 public:
  explicit Blobs(const RegistryContext& context) : context_(context) {}
  std::string_view name() const override { return "blobs"; }
  std::int64_t look(sql::Session& session, RowKey& at, std::int64_t limit,
                    std::vector<Suspicion>& found) const override {
    return each(catalog::blobs_to_check(session, at, limit), at,
                [&](const catalog::BlobToCheck& blob, const RowKey& before) { judge(blob, before, found); });
  }

 private:
  void judge(const catalog::BlobToCheck& blob, const RowKey& before, std::vector<Suspicion>& found) const {
    const auto digest = digest_of(blob.digest);
    if (!digest) {
      found.push_back({Problem::blob_damaged,
                       "a blob whose row says " + blob.digest.substr(0, 200) + " instead of a digest",
                       {},
                       std::nullopt,
                       before,
                       {}});
      return;
    }
    if (!blob.quarantine.empty()) {
      found.push_back(
          {Problem::blob_quarantined, blob.digest + ": " + blob.quarantine, {}, digest, before, {}});
    }
    const bool live = blob.state == catalog::BlobState::live;
    if (blob.queued || (live && blob.linked)) return;
    const std::int64_t wait = live ? context_.leases.microseconds() : 0;
    found.push_back({live ? Problem::blob_forgotten : Problem::removal_forgotten,
                     blob.digest,
                     {},
                     digest,
                     before,
                     [this, digest, wait](sql::Tx& tx) {
                       catalog::queue_review(tx, std::nullopt, *digest, context_.clock.now() + wait);
                     }});
  }

  const RegistryContext& context_;
};

// Looks at everything that a repository holds, so that a page is one repository.
class Usages final : public Section {
 public:
  std::string_view name() const override { return "what repositories hold"; }
  std::int64_t again() const override { return 1; }
  std::int64_t look(sql::Session& session, RowKey& at, std::int64_t /*limit*/,
                    std::vector<Suspicion>& found) const override {
    const auto names = catalog::list_repositories(session, at.text, 1);
    if (names.empty()) return 0;
    const RowKey before = std::exchange(at, RowKey{0, 0, names.front()});
    const auto repository = RepositoryName::parse(names.front());
    const auto id = repository ? catalog::find_repository(session, *repository) : std::nullopt;
    if (!id || catalog::find_usage(session, *id) == catalog::recount_usage(session, *id)) return 1;
    found.push_back(
        {Problem::usage_wrong, names.front(), names.front(), std::nullopt, before,
         [in = *id](sql::Tx& tx) { catalog::store_usage(tx, in, catalog::recount_usage(tx, in)); }});
    return 1;
  }
};

}  // namespace

std::vector<std::unique_ptr<Section>> catalog_sections(const RegistryContext& context) {
  std::vector<std::unique_ptr<Section>> sections;
  for (const catalog::Belonging& belonging : catalog::belongings())
    sections.push_back(std::make_unique<Owners>(belonging));
  sections.push_back(std::make_unique<Tags>());
  sections.push_back(std::make_unique<Manifests>(context));
  sections.push_back(std::make_unique<Trash>());
  sections.push_back(std::make_unique<Links>(context));
  sections.push_back(std::make_unique<Blobs>(context));
  sections.push_back(std::make_unique<Usages>());
  return sections;
}

}  // namespace stele::gc
