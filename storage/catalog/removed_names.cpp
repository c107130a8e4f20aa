#include <algorithm>

#include "storage/catalog/rows.hpp"

namespace stele::catalog {
namespace {

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + '\n';
  return text;
}

std::vector<std::string> split_lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

}  // namespace

std::vector<std::string> named_content(Session& session, ManifestId manifest) {
  auto digests = text_rows(session.query(
      "SELECT digest FROM manifest_references WHERE manifest_id = $1 AND kind IN ('layer', 'entry')",
      number(manifest)));
  std::sort(digests.begin(), digests.end());
  digests.erase(std::unique(digests.begin(), digests.end()), digests.end());
  return digests;
}

Result<std::optional<RemovedName>> find_removed_name(Session& session, const RepositoryName& repository,
                                                     const Tag& tag) {
  auto row = session.query(
      "SELECT mutability, digest, pushed_at, pushed_by, content, version, created, checksum FROM "
      "removed_names "
      "WHERE repository = $1 AND tag = $2",
      repository.str(), tag.str());
  if (!row.next()) return std::optional<RemovedName>();
  auto digest = Digest::parse(row.text(1));
  if (!digest || row.integer(7) != tag_checksum(repository.str(), tag.str(), digest->str())) {
    return Error(Errc::corrupt,
                 "the stored binding of the removed tag " + repository.str() + ":" + tag.str() +
                     " is damaged: its checksum does not agree. Restore a snapshot of the catalog");
  }
  RemovedName name{std::string(row.text(0)), std::move(*digest),       Timestamp{row.integer(2)},
                   std::string(row.text(3)), split_lines(row.text(4)), std::string(row.text(5)),
                   std::string(row.text(6))};
  return std::optional<RemovedName>(std::move(name));
}

void put_removed_name(Tx& tx, const RepositoryName& repository, const Tag& tag, const RemovedName& name) {
  tx.execute(
      "INSERT INTO removed_names (repository, tag, mutability, digest, pushed_at, pushed_by, content, "
      "version, "
      "created, checksum) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) "
      "ON CONFLICT (repository, tag) DO UPDATE SET mutability = excluded.mutability, digest = "
      "excluded.digest, "
      "pushed_at = excluded.pushed_at, pushed_by = excluded.pushed_by, content = excluded.content, "
      "version = excluded.version, created = excluded.created, checksum = excluded.checksum",
      repository.str(), tag.str(), name.mutability, name.digest.str(), name.pushed_at.microseconds,
      name.pushed_by, joined(name.content), name.version, name.created,
      tag_checksum(repository.str(), tag.str(), name.digest.str()));
}

void delete_removed_name(Tx& tx, const RepositoryName& repository, const Tag& tag) {
  tx.execute("DELETE FROM removed_names WHERE repository = $1 AND tag = $2", repository.str(), tag.str());
}

std::vector<RemovedNameKey> list_removed_names(Session& session, const std::string& repository,
                                               const std::string& tag, std::int64_t limit) {
  std::vector<RemovedNameKey> names;
  auto rows = session.query(
      "SELECT repository, tag, mutability, digest FROM removed_names WHERE (repository, tag) > ($1, $2) "
      "ORDER BY repository, tag LIMIT $3",
      repository, tag, limit);
  while (rows.next()) {
    names.push_back({parse_column<RepositoryName>(rows.text(0), "removed_names.repository"),
                     parse_column<Tag>(rows.text(1), "removed_names.tag"), std::string(rows.text(2)),
                     parse_column<Digest>(rows.text(3), "removed_names.digest")});
  }
  return names;
}

}  // namespace stele::catalog
