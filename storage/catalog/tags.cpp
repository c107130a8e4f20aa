#include "base/hasher.hpp"
#include "storage/catalog/rows.hpp"

namespace stele::catalog {

std::int64_t tag_checksum(std::string_view repository, std::string_view tag, std::string_view digest) {
  return row_checksum({repository, tag, digest});
}

Result<std::optional<TagBinding>> find_tag(Session& session, RepositoryId repository,
                                           const RepositoryName& name, const Tag& tag) {
  auto row = session.query(
      "SELECT t.manifest_id, m.digest, t.pushed_at, t.pushed_by, t.checksum FROM tags t "
      "JOIN manifests m ON m.id = t.manifest_id WHERE t.repository_id = $1 AND t.name = $2",
      number(repository), tag.str());
  if (!row.next()) return std::optional<TagBinding>();
  auto digest = Digest::parse(row.text(1));
  if (!digest || row.integer(4) != tag_checksum(name.str(), tag.str(), digest->str())) {
    return Error(Errc::corrupt,
                 "the stored tag " + name.str() + ":" + tag.str() +
                     " is damaged: its checksum does not agree. Restore a snapshot of the catalog");
  }
  return TagBinding{tag, ManifestId(row.integer(0)), std::move(*digest), Timestamp{row.integer(2)},
                    std::string(row.text(3))};
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
      "pushed_by = excluded.pushed_by, checksum = excluded.checksum",
      number(repository), binding.tag.str(), number(binding.manifest), binding.pushed_at.microseconds,
      binding.pushed_by, tag_checksum(name.str(), binding.tag.str(), binding.digest.str()));
}

void delete_tag(Tx& tx, RepositoryId repository, const Tag& tag) {
  tx.execute("DELETE FROM tags WHERE repository_id = $1 AND name = $2", number(repository), tag.str());
}

std::vector<std::string> list_tags(Session& session, RepositoryId repository, const std::string& last,
                                   std::int64_t limit) {
  if (limit <= 0) return {};
  return text_rows(
      session.query("SELECT name FROM tags WHERE repository_id = $1 AND name > $2 ORDER BY name LIMIT $3",
                    number(repository), last, limit));
}

void append_tag_history(Tx& tx, RepositoryId repository, const TagChange& change) {
  const auto text = [](const std::optional<Digest>& digest) {
    return digest ? std::optional<std::string_view>(digest->str()) : std::nullopt;
  };
  tx.execute(
      "INSERT INTO tag_history (repository_id, tag, previous_digest, digest, at, actor, event) "
      "VALUES ($1, $2, $3, $4, $5, $6, $7)",
      number(repository), change.tag.str(), text(change.previous), text(change.current),
      change.at.microseconds, change.actor, change.event);
}

}  // namespace stele::catalog
