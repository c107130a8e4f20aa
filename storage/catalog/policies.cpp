#include "storage/catalog/rows.hpp"

namespace stele::catalog {

std::string last_policy_hash(Session& session) {
  auto row =
      session.query("SELECT hash FROM policy_versions WHERE sequence > 0 ORDER BY sequence DESC LIMIT 1");
  if (!row.next()) return {};
  return std::string(row.text(0));
}

void insert_policy(Tx& tx, std::string_view hash, std::string_view source, Timestamp now,
                   const std::string& actor) {
  tx.execute("INSERT INTO policy_versions (hash, source, loaded_at, loaded_by) VALUES ($1, $2, $3, $4)", hash,
             source, now.microseconds, actor);
}

std::vector<PolicyVersion> list_policies(Session& session, std::int64_t limit) {
  std::vector<PolicyVersion> versions;
  auto rows = session.query(
      "SELECT sequence, hash, loaded_at, loaded_by FROM policy_versions WHERE sequence > 0 ORDER BY sequence "
      "DESC LIMIT $1",
      limit);
  while (rows.next()) {
    versions.push_back(
        {rows.integer(0), std::string(rows.text(1)), Timestamp{rows.integer(2)}, std::string(rows.text(3))});
  }
  return versions;
}

std::optional<std::string> policy_source(Session& session, std::string_view hash) {
  auto row = session.query("SELECT source FROM policy_versions WHERE hash = $1 LIMIT 1", hash);
  if (!row.next()) return std::nullopt;
  return std::string(row.text(0));
}

}  // namespace stele::catalog
