#include "storage/catalog/checks.hpp"

#include "base/bytes.hpp"
#include "storage/catalog/rows.hpp"

namespace stele::catalog {
namespace {

constexpr Belonging all_belongings[] = {
    {"manifest_use", "manifest_id", "manifests"},
    {"untagged_manifests", "manifest_id", "manifests"},
    {"manifest_references", "manifest_id", "manifests"},
    {"trash", "repository_id", "repositories", false},
    {"trash_tags", "trash_id", "trash"},
    {"trash_references", "trash_id", "trash"},
    {"lifecycle_waiting", "run_id", "lifecycle_runs"},
    {"repository_usage", "repository_id", "repositories"},
    {"repository_blobs", "repository_id", "repositories"},
    {"repository_blobs", "blob_id", "blobs"},
    {"reviews", "blob_id", "blobs"},
    {"quarantine", "blob_id", "blobs"},
};

std::string column_text(const sql::Query& row, int column) {
  return row.optional_text(column).value_or("");
}

ManifestToCheck manifest_row(const sql::Query& row) {
  ManifestToCheck manifest{{row.integer(0)},
                           ManifestId(row.integer(0)),
                           RepositoryId(row.integer(1)),
                           column_text(row, 2),
                           std::string(row.text(3)),
                           std::string(row.text(4)),
                           std::string(as_text(row.bytes(6)))};
  manifest.sound = row.integer(5) == manifest_checksum(row.text(3), row.text(4));
  return manifest;
}

std::vector<ManifestToCheck> manifest_rows(sql::Query rows) {
  std::vector<ManifestToCheck> page;
  while (rows.next()) page.push_back(manifest_row(rows));
  return page;
}

}  // namespace

std::vector<TagToCheck> tags_to_check(Session& session, const RowKey& after, std::int64_t limit) {
  std::vector<TagToCheck> page;
  auto rows = session.query(
      "SELECT t.repository_id, t.name, r.name, m.digest, t.checksum FROM tags t LEFT JOIN repositories r ON "
      "r.id = t.repository_id LEFT JOIN manifests m ON m.id = t.manifest_id AND m.repository_id = "
      "t.repository_id WHERE (t.repository_id, t.name) > ($1, $2) ORDER BY t.repository_id, t.name LIMIT $3",
      after.first, after.text, limit);
  while (rows.next()) {
    TagToCheck tag{{rows.integer(0), 0, std::string(rows.text(1))},
                   column_text(rows, 2),
                   std::string(rows.text(1)),
                   column_text(rows, 3)};
    tag.sound = rows.integer(4) == tag_checksum(tag.repository, tag.tag, tag.digest);
    page.push_back(std::move(tag));
  }
  return page;
}

std::vector<ManifestToCheck> manifests_to_check(Session& session, const RowKey& after, std::int64_t limit) {
  return manifest_rows(session.query(
      "SELECT m.id, m.repository_id, r.name, m.digest, m.media_type, m.checksum, m.bytes FROM manifests m "
      "LEFT JOIN repositories r ON r.id = m.repository_id WHERE m.id > $1 ORDER BY m.id LIMIT $2",
      after.first, limit));
}

std::vector<ManifestToCheck> trash_to_check(Session& session, const RowKey& after, std::int64_t limit) {
  return manifest_rows(session.query(
      "SELECT t.id, t.repository_id, r.name, t.digest, t.media_type, t.checksum, t.bytes FROM trash t LEFT "
      "JOIN repositories r ON r.id = t.repository_id WHERE t.id > $1 AND t.media_type IS NOT NULL ORDER BY "
      "t.id LIMIT $2",
      after.first, limit));
}

std::vector<ReferenceRow> references_of(Session& session, ManifestId manifest) {
  std::vector<ReferenceRow> references;
  auto rows =
      session.query("SELECT kind, digest FROM manifest_references WHERE manifest_id = $1", number(manifest));
  while (rows.next()) references.push_back({std::string(rows.text(0)), std::string(rows.text(1))});
  return references;
}

void add_reference(Tx& tx, RepositoryId repository, ManifestId manifest, const ReferenceRow& reference) {
  tx.execute(
      "INSERT INTO manifest_references (manifest_id, kind, digest, repository_id) VALUES ($1, $2, $3, $4) "
      "ON CONFLICT DO NOTHING",
      number(manifest), reference.kind, reference.digest, number(repository));
}

std::vector<LinkToCheck> links_to_check(Session& session, const RowKey& after, std::int64_t limit) {
  std::vector<LinkToCheck> page;
  auto rows = session.query(
      "SELECT k.repository_id, k.blob_id, r.name, b.digest, CASE WHEN EXISTS (SELECT 1 FROM "
      "manifest_references f JOIN manifests m ON m.id = f.manifest_id WHERE f.repository_id = "
      "k.repository_id AND f.digest = b.digest AND f.kind IN ('config', 'layer', 'entry')) THEN 1 WHEN "
      "EXISTS (SELECT 1 FROM trash_references t WHERE t.repository_id = k.repository_id AND t.digest = "
      "b.digest) THEN 1 ELSE 0 END, CASE WHEN EXISTS (SELECT 1 FROM reviews q WHERE q.blob_id = k.blob_id "
      "AND q.repository_id = k.repository_id) THEN 1 ELSE 0 END FROM repository_blobs k LEFT JOIN "
      "repositories r ON r.id = k.repository_id LEFT JOIN blobs b ON b.id = k.blob_id WHERE "
      "(k.repository_id, k.blob_id) > ($1, $2) ORDER BY k.repository_id, k.blob_id LIMIT $3",
      after.first, after.second, limit);
  while (rows.next()) {
    page.push_back({{rows.integer(0), rows.integer(1)},
                    RepositoryId(rows.integer(0)),
                    column_text(rows, 2),
                    column_text(rows, 3),
                    rows.integer(4) != 0,
                    rows.integer(5) != 0});
  }
  return page;
}

std::vector<BlobToCheck> blobs_to_check(Session& session, const RowKey& after, std::int64_t limit) {
  std::vector<BlobToCheck> page;
  auto rows = session.query(
      "SELECT b.id, b.digest, b.state, CASE WHEN EXISTS (SELECT 1 FROM repository_blobs k WHERE k.blob_id = "
      "b.id) THEN 1 ELSE 0 END, CASE WHEN EXISTS (SELECT 1 FROM reviews q WHERE q.blob_id = b.id) THEN 1 "
      "ELSE 0 END, w.problem FROM blobs b LEFT JOIN quarantine w ON w.blob_id = b.id WHERE b.id > $1 ORDER "
      "BY b.id LIMIT $2",
      after.first, limit);
  while (rows.next()) {
    page.push_back({{rows.integer(0)},
                    std::string(rows.text(1)),
                    rows.text(2) == "live" ? BlobState::live : BlobState::deleting,
                    rows.integer(3) != 0,
                    rows.integer(4) != 0,
                    column_text(rows, 5)});
  }
  return page;
}

std::span<const Belonging> belongings() {
  return all_belongings;
}

std::vector<OwnerToCheck> owners_to_check(Session& session, const Belonging& belonging, const RowKey& after,
                                          std::int64_t limit) {
  const std::string column(belonging.column);
  const std::string text = "SELECT c." + column + ", p.id FROM " + std::string(belonging.child) +
                           " c LEFT JOIN " + std::string(belonging.parent) + " p ON p.id = c." + column +
                           " WHERE c." + column + " > $1 ORDER BY c." + column + " LIMIT $2";
  std::vector<OwnerToCheck> page;
  auto rows = session.query(text, after.first, limit);
  while (rows.next()) {
    const std::int64_t owner = rows.integer(0);
    if (page.empty() || page.back().owner != owner) page.push_back({{owner}, owner, !rows.is_null(1)});
  }
  return page;
}

void remove_ownerless(Tx& tx, const Belonging& belonging, std::int64_t owner) {
  const std::string column(belonging.column);
  tx.execute("DELETE FROM " + std::string(belonging.child) + " WHERE " + column +
                 " = $1 AND NOT EXISTS (SELECT 1 FROM " + std::string(belonging.parent) + " WHERE id = $1)",
             owner);
}

}  // namespace stele::catalog
