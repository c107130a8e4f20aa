#include "storage/catalog/rows.hpp"
#include "storage/catalog/usage.hpp"

namespace stele::catalog {

std::vector<std::string> text_rows(sql::Query rows) {
  std::vector<std::string> texts;
  while (rows.next()) texts.emplace_back(rows.text(0));
  return texts;
}

std::optional<RepositoryId> find_repository(Session& session, const RepositoryName& name) {
  auto row = session.query("SELECT id FROM repositories WHERE name = $1", name.str());
  if (!row.next()) return std::nullopt;
  return RepositoryId(row.integer(0));
}

RepositoryId ensure_repository(Tx& tx, const RepositoryName& name, Timestamp now) {
  // Looked for first: nearly every push is to a repository that is there.
  if (const auto found = find_repository(tx, name)) return *found;
  tx.execute("INSERT INTO repositories (name, created_at) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
             name.str(), now.microseconds);
  const RepositoryId made = find_repository(tx, name).value();
  begin_usage(tx, made);
  return made;
}

std::vector<std::string> list_repositories(Session& session, const std::string& last, std::int64_t limit) {
  if (limit <= 0) return {};
  return text_rows(
      session.query("SELECT name FROM repositories WHERE name > $1 ORDER BY name LIMIT $2", last, limit));
}

std::vector<Digest> some_manifests(Session& session, RepositoryId repository, std::int64_t limit) {
  std::vector<Digest> digests;
  auto rows = session.query("SELECT digest FROM manifests WHERE repository_id = $1 LIMIT $2",
                            number(repository), limit);
  while (rows.next()) digests.push_back(parse_column<Digest>(rows.text(0), "manifests.digest"));
  return digests;
}

std::vector<Digest> some_blobs(Session& session, RepositoryId repository, std::int64_t limit) {
  std::vector<Digest> digests;
  auto rows = session.query(
      "SELECT b.digest FROM repository_blobs held JOIN blobs b ON b.id = held.blob_id WHERE "
      "held.repository_id = $1 "
      "LIMIT $2",
      number(repository), limit);
  while (rows.next()) digests.push_back(parse_column<Digest>(rows.text(0), "blobs.digest"));
  return digests;
}

void delete_repository(Tx& tx, RepositoryId repository) {
  // One by one: who still shares a blob with others is counted with each.
  constexpr std::int64_t links_per_step = 1000;
  for (;;) {
    const auto blobs = some_blobs(tx, repository, links_per_step);
    if (blobs.empty()) break;
    for (const Digest& blob : blobs) unlink_blob(tx, repository, blob);
  }
  end_usage(tx, repository);
  tx.execute("DELETE FROM tag_history WHERE repository_id = $1", number(repository));
  tx.execute("DELETE FROM repositories WHERE id = $1", number(repository));
}

}  // namespace stele::catalog
