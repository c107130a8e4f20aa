#include "base/hasher.hpp"
#include "storage/catalog/rows.hpp"

namespace stele::catalog {

std::int64_t tag_checksum(std::string_view repository, std::string_view tag, std::string_view digest) {
  return row_checksum({repository, tag, digest});
}

namespace {

// Columns 0–5 of the row: manifest_id, digest, pushed_at, pushed_by, checksum, pushed_again_at.
Result<TagBinding> binding_of(const sql::Query& row, const RepositoryName& name, const Tag& tag) {
  auto digest = Digest::parse(row.text(1));
  if (!digest || row.integer(4) != tag_checksum(name.str(), tag.str(), digest->str())) {
    return Error(Errc::corrupt,
                 "the stored tag " + name.str() + ":" + tag.str() +
                     " is damaged: its checksum does not agree. Restore a snapshot of the catalog");
  }
  TagBinding binding{tag, ManifestId(row.integer(0)), std::move(*digest), Timestamp{row.integer(2)},
                     std::string(row.text(3))};
  if (!row.is_null(5)) binding.pushed_again_at = Timestamp{row.integer(5)};
  return binding;
}

}  // namespace

Result<std::optional<TagBinding>> find_tag(Session& session, RepositoryId repository,
                                           const RepositoryName& name, const Tag& tag) {
  auto row = session.query(
      "SELECT t.manifest_id, m.digest, t.pushed_at, t.pushed_by, t.checksum, t.pushed_again_at FROM tags t "
      "JOIN manifests m ON m.id = t.manifest_id WHERE t.repository_id = $1 AND t.name = $2",
      number(repository), tag.str());
  if (!row.next()) return std::optional<TagBinding>();
  auto binding = binding_of(row, name, tag);
  if (!binding) return binding.error();
  return std::optional<TagBinding>(std::move(*binding));
}

Result<std::vector<TagBinding>> list_tag_bindings(Session& session, RepositoryId repository,
                                                  const RepositoryName& name, const std::string& last,
                                                  std::int64_t limit) {
  std::vector<TagBinding> bindings;
  if (limit <= 0) return bindings;
  auto rows = session.query(
      "SELECT t.manifest_id, m.digest, t.pushed_at, t.pushed_by, t.checksum, t.pushed_again_at, t.name FROM "
      "tags t "
      "JOIN manifests m ON m.id = t.manifest_id WHERE t.repository_id = $1 AND t.name > $2 ORDER BY t.name "
      "LIMIT $3",
      number(repository), last, limit);
  while (rows.next()) {
    auto binding = binding_of(rows, name, parse_column<Tag>(rows.text(6), "tags.name"));
    if (!binding) return binding.error();
    bindings.push_back(std::move(*binding));
  }
  return bindings;
}

std::vector<Tag> tags_of_manifest(Session& session, ManifestId manifest, std::int64_t limit) {
  std::vector<Tag> tags;
  if (limit <= 0) return tags;
  auto rows = session.query("SELECT name FROM tags WHERE manifest_id = $1 ORDER BY name LIMIT $2",
                            number(manifest), limit);
  while (rows.next()) tags.push_back(parse_column<Tag>(rows.text(0), "tags.name"));
  return tags;
}

void set_tag(Tx& tx, RepositoryId repository, const RepositoryName& name, const TagBinding& binding) {
  tx.execute(
      "INSERT INTO tags (repository_id, name, manifest_id, pushed_at, pushed_by, checksum) VALUES ($1, $2, "
      "$3, $4, $5, $6) "
      "ON CONFLICT (repository_id, name) DO UPDATE SET manifest_id = excluded.manifest_id, pushed_at = "
      "excluded.pushed_at, "
      "pushed_by = excluded.pushed_by, checksum = excluded.checksum, pushed_again_at = NULL",
      number(repository), binding.tag.str(), number(binding.manifest), binding.pushed_at.microseconds,
      binding.pushed_by, tag_checksum(name.str(), binding.tag.str(), binding.digest.str()));
}

void note_push(Tx& tx, RepositoryId repository, const Tag& tag, ManifestId manifest, Timestamp at) {
  tx.execute(
      "UPDATE tags SET pushed_again_at = $4 WHERE repository_id = $1 AND name = $2 AND manifest_id = $3 AND "
      "pushed_at < $4 AND COALESCE(pushed_again_at, pushed_at) < $4",
      number(repository), tag.str(), number(manifest), at.microseconds);
}

void delete_tag(Tx& tx, RepositoryId repository, const Tag& tag) {
  tx.execute("DELETE FROM tags WHERE repository_id = $1 AND name = $2", number(repository), tag.str());
}

void note_untagged(Tx& tx, ManifestId manifest, Timestamp now) {
  tx.execute(
      "INSERT INTO untagged_manifests (manifest_id, since) SELECT id, $2 FROM manifests WHERE id = $1 AND "
      "NOT "
      "EXISTS (SELECT 1 FROM tags WHERE manifest_id = $1) ON CONFLICT (manifest_id) DO UPDATE SET since = "
      "excluded.since",
      number(manifest), now.microseconds);
}

std::optional<Timestamp> untagged_since(Session& session, ManifestId manifest) {
  auto row = session.query("SELECT since FROM untagged_manifests WHERE manifest_id = $1", number(manifest));
  if (!row.next()) return std::nullopt;
  return Timestamp{row.integer(0)};
}

std::vector<std::string> list_tags(Session& session, RepositoryId repository, const std::string& last,
                                   std::int64_t limit) {
  if (limit <= 0) return {};
  return text_rows(
      session.query("SELECT name FROM tags WHERE repository_id = $1 AND name > $2 ORDER BY name LIMIT $3",
                    number(repository), last, limit));
}

}  // namespace stele::catalog
