#include "storage/catalog/rows.hpp"

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
  return find_repository(tx, name).value();
}

std::vector<std::string> list_repositories(Session& session, const std::string& last, std::int64_t limit) {
  if (limit <= 0) return {};
  return text_rows(
      session.query("SELECT name FROM repositories WHERE name > $1 ORDER BY name LIMIT $2", last, limit));
}

}  // namespace stele::catalog
