#include <algorithm>
#include <charconv>

#include "base/hasher.hpp"
#include "storage/catalog/meta.hpp"
#include "storage/catalog/rows.hpp"
#include "storage/catalog/usage.hpp"

namespace stele::catalog {

std::int64_t manifest_checksum(std::string_view digest, std::string_view media_type) {
  return row_checksum({digest, media_type});
}

namespace {

Error damaged(const RepositoryName& repository, std::string_view reference) {
  return Error(
      Errc::corrupt,
      "the stored manifest of " + repository.str() + " " + std::string(reference) +
          " is damaged: it is not what its checksum or digest says. Push it again, or restore a snapshot "
          "of the catalog");
}

// Columns 0–5 of the row: id, digest, media_type, checksum, size, bytes.
Result<std::optional<StoredManifest>> verified(const sql::Query& row, const RepositoryName& repository,
                                               std::string_view reference, std::uint64_t max_bytes) {
  const ManifestId id{row.integer(0)};
  const std::string_view digest_text = row.text(1);
  const std::string_view media_type = row.text(2);
  if (row.integer(3) != manifest_checksum(digest_text, media_type)) return damaged(repository, reference);
  auto digest = Digest::parse(digest_text);
  if (!digest) return damaged(repository, reference);
  if (size_column(row, 4) > max_bytes) return StoredManifest{id, std::move(*digest), {}, {}, true};
  const std::string_view bytes = as_text(row.bytes(5));
  if (Digest::of(digest->algorithm(), bytes) != *digest) return damaged(repository, reference);
  return StoredManifest{id, std::move(*digest), std::string(media_type), std::string(bytes)};
}

void insert_reference(Tx& tx, RepositoryId repository, ManifestId manifest, std::string_view kind,
                      const Digest& digest) {
  tx.execute(
      "INSERT INTO manifest_references (manifest_id, kind, digest, repository_id) VALUES ($1, $2, $3, $4)",
      number(manifest), kind, digest.str(), number(repository));
}

}  // namespace

Result<std::optional<StoredManifest>> manifest_by_tag(Session& session, const RepositoryName& repository,
                                                      const Tag& tag, std::uint64_t max_bytes) {
  auto row = session.query(
      "SELECT m.id, m.digest, m.media_type, m.checksum, m.size, m.bytes, t.checksum FROM repositories r "
      "JOIN tags t ON t.repository_id = r.id JOIN manifests m ON m.id = t.manifest_id WHERE r.name = $1 AND "
      "t.name = $2",
      repository.str(), tag.str());
  if (!row.next()) return std::optional<StoredManifest>();
  if (row.integer(6) != tag_checksum(repository.str(), tag.str(), row.text(1))) {
    return Error(
        Errc::corrupt,
        "the stored tag " + repository.str() + ":" + tag.str() +
            " is damaged: its checksum does not agree. Pull by digest, or restore a snapshot of the catalog");
  }
  return verified(row, repository, tag.str(), max_bytes);
}

Result<std::optional<StoredManifest>> manifest_by_digest(Session& session, const RepositoryName& repository,
                                                         const Digest& digest, std::uint64_t max_bytes) {
  auto row = session.query(
      "SELECT m.id, m.digest, m.media_type, m.checksum, m.size, m.bytes FROM repositories r "
      "JOIN manifests m ON m.repository_id = r.id WHERE r.name = $1 AND m.digest = $2",
      repository.str(), digest.str());
  if (!row.next()) return std::optional<StoredManifest>();
  auto manifest = verified(row, repository, digest.str(), max_bytes);
  // The index may lead to a row that is sound but another's.
  if (manifest && (*manifest)->digest != digest) return damaged(repository, digest.str());
  return manifest;
}

std::optional<ManifestInfo> find_manifest(Session& session, RepositoryId repository, const Digest& digest) {
  auto row = session.query(
      "SELECT id, digest, media_type, size, checksum FROM manifests WHERE repository_id = $1 AND digest = $2",
      number(repository), digest.str());
  if (!row.next()) return std::nullopt;
  if (row.text(1) != digest.str() || row.integer(4) != manifest_checksum(digest.str(), row.text(2))) {
    throw sql::Failure(sql::Failure::Kind::corrupt,
                       "the row of manifest " + digest.str() + " does not agree with its checksum");
  }
  return ManifestInfo{ManifestId(row.integer(0)), digest, std::string(row.text(2)), size_column(row, 3)};
}

std::optional<ManifestOrigin> manifest_origin(Session& session, ManifestId manifest) {
  auto row = session.query("SELECT created_at, created_by FROM manifests WHERE id = $1", number(manifest));
  if (!row.next()) return std::nullopt;
  return ManifestOrigin{Timestamp{row.integer(0)}, std::string(row.text(1))};
}

namespace {

// The highest number that a manifest had which is gone. A number is never given twice: what is known of a
// manifest in memory (when it was pulled) must not fall to another.
constexpr const char* highest_gone = "highest_manifest_gone";

std::int64_t highest_id_gone(Session& session) {
  const auto text = find_meta(session, highest_gone);
  std::int64_t id = 0;
  if (text) std::from_chars(text->data(), text->data() + text->size(), id);
  return id;
}

std::int64_t highest_id(Session& session) {
  auto row = session.query("SELECT MAX(id) FROM manifests");
  return row.next() && !row.is_null(0) ? row.integer(0) : 0;
}

void note_id_gone(Tx& tx, ManifestId manifest) {
  const std::int64_t id = number(manifest);
  if (highest_id(tx) == id && highest_id_gone(tx) < id) put_meta(tx, highest_gone, std::to_string(id));
}

}  // namespace

ManifestId insert_manifest(Tx& tx, RepositoryId repository, const NewManifest& added, Timestamp now,
                           const std::string& actor) {
  const Manifest& manifest = added.manifest;
  std::optional<std::string_view> subject;
  std::optional<std::string> descriptor;
  if (manifest.subject()) {
    subject = manifest.subject()->digest.str();
    descriptor = manifest.referrer_descriptor(added.digest, added.bytes.size());
  }
  const auto id = ManifestId(std::max(highest_id(tx), highest_id_gone(tx)) + 1);
  tx.execute(
      "INSERT INTO manifests (id, repository_id, digest, media_type, artifact_type, subject, size, "
      "referrer_descriptor, checksum, "
      "created_at, created_by, bytes) VALUES ($12, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
      number(repository), added.digest.str(), manifest.media_type(), manifest.artifact_type(), subject,
      static_cast<std::int64_t>(added.bytes.size()), descriptor,
      manifest_checksum(added.digest.str(), manifest.media_type()), now.microseconds, actor,
      as_bytes(added.bytes), number(id));
  if (manifest.config()) insert_reference(tx, repository, id, "config", manifest.config()->digest);
  for (const Digest& layer : digests_of(manifest.layers())) {
    // What the registry does not hold cannot be needed from it, unless somebody pushed it all the same.
    insert_reference(tx, repository, id, "layer", layer);
  }
  for (const Digest& entry : digests_of(manifest.entries()))
    insert_reference(tx, repository, id, "entry", entry);
  if (manifest.subject()) insert_reference(tx, repository, id, "subject", manifest.subject()->digest);
  count_manifest(tx, repository, static_cast<std::int64_t>(added.bytes.size()));
  return id;
}

void delete_manifest(Tx& tx, ManifestId manifest, Timestamp review_after) {
  tx.execute(
      "INSERT INTO reviews (blob_id, repository_id, review_after) SELECT b.id, f.repository_id, $2 FROM "
      "manifest_references f JOIN blobs b ON b.digest = f.digest WHERE f.manifest_id = $1 AND f.kind <> "
      "'subject' ON CONFLICT (blob_id, repository_id) DO UPDATE SET review_after = excluded.review_after "
      "WHERE excluded.review_after > reviews.review_after",
      number(manifest), review_after.microseconds);
  forget_manifest(tx, manifest);
}

void forget_manifest(Tx& tx, ManifestId manifest) {
  uncount_manifest(tx, manifest);
  note_id_gone(tx, manifest);
  tx.execute("DELETE FROM manifest_use WHERE manifest_id = $1", number(manifest));
  tx.execute("DELETE FROM untagged_manifests WHERE manifest_id = $1", number(manifest));
  tx.execute("DELETE FROM manifest_references WHERE manifest_id = $1", number(manifest));
  tx.execute("DELETE FROM manifests WHERE id = $1", number(manifest));
}

std::vector<Digest> entries_of(Session& session, ManifestId manifest) {
  std::vector<Digest> digests;
  auto rows = session.query(
      "SELECT digest FROM manifest_references WHERE manifest_id = $1 AND kind = 'entry' ORDER BY digest",
      number(manifest));
  while (rows.next()) digests.push_back(parse_column<Digest>(rows.text(0), "manifest_references.digest"));
  return digests;
}

std::optional<Digest> referring_manifest(Session& session, RepositoryId repository, const Digest& digest) {
  auto row = session.query(
      "SELECT m.digest FROM manifest_references f JOIN manifests m ON m.id = f.manifest_id "
      "WHERE f.repository_id = $1 AND f.digest = $2 AND f.kind = 'entry' LIMIT 1",
      number(repository), digest.str());
  if (!row.next()) return std::nullopt;
  return parse_column<Digest>(row.text(0), "manifests.digest");
}

std::optional<Digest> manifest_needing_blob(Session& session, RepositoryId repository, const Digest& digest) {
  // Entries too: buildkit's cache export is an index of layers.
  auto row = session.query(
      "SELECT m.digest FROM manifest_references f JOIN manifests m ON m.id = f.manifest_id "
      "WHERE f.repository_id = $1 AND f.digest = $2 AND f.kind IN ('config', 'layer', 'entry') LIMIT 1",
      number(repository), digest.str());
  if (!row.next()) return std::nullopt;
  return parse_column<Digest>(row.text(0), "manifests.digest");
}

std::vector<Digest> referring_to(Session& session, RepositoryId repository, const Digest& subject,
                                 std::int64_t limit) {
  std::vector<Digest> digests;
  auto rows = session.query(
      "SELECT digest FROM manifests WHERE repository_id = $1 AND subject = $2 ORDER BY id LIMIT $3",
      number(repository), subject.str(), limit);
  while (rows.next()) digests.push_back(parse_column<Digest>(rows.text(0), "manifests.digest"));
  return digests;
}

bool is_referrer(Session& session, RepositoryId repository, const Digest& referrer, const Digest& subject) {
  auto rows =
      session.query("SELECT 1 FROM manifests WHERE repository_id = $1 AND digest = $2 AND subject = $3",
                    number(repository), referrer.str(), subject.str());
  return rows.next();
}

ReferrerPage list_referrers(Session& session, RepositoryId repository, const Digest& subject,
                            const std::optional<std::string>& artifact_type, std::int64_t after,
                            std::size_t max_bytes) {
  // No descriptor is shorter than its digest, so this many rows are enough for any page and for knowing of
  // more.
  const auto enough = static_cast<std::int64_t>(max_bytes / 71 + 2);
  auto rows =
      artifact_type
          ? session.query(
                "SELECT id, referrer_descriptor FROM manifests WHERE repository_id = $1 AND subject = $2 "
                "AND artifact_type = $5 AND id > $3 ORDER BY id LIMIT $4",
                number(repository), subject.str(), after, enough, *artifact_type)
          : session.query(
                "SELECT id, referrer_descriptor FROM manifests WHERE repository_id = $1 AND subject = $2 "
                "AND id > $3 ORDER BY id LIMIT $4",
                number(repository), subject.str(), after, enough);
  ReferrerPage page;
  std::size_t bytes = 0;
  while (rows.next()) {
    const std::string_view descriptor = rows.text(1);
    bytes += descriptor.size();
    if (!page.referrers.empty() && bytes > max_bytes) {
      page.more = true;
      break;
    }
    page.referrers.push_back({rows.integer(0), std::string(descriptor)});
  }
  return page;
}

}  // namespace stele::catalog
