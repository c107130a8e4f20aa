#include "storage/catalog/meta.hpp"

namespace stele::catalog {

std::optional<std::string> find_meta(Session& session, std::string_view key) {
  auto row = session.query("SELECT value FROM meta WHERE key = $1", key);
  if (!row.next()) return std::nullopt;
  return std::string(row.text(0));
}

void put_meta(Tx& tx, std::string_view key, std::string_view value) {
  tx.execute(
      "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
      key, value);
}

void delete_meta(Tx& tx, std::string_view key) {
  tx.execute("DELETE FROM meta WHERE key = $1", key);
}

std::int64_t newest_event(Session& session) {
  auto row = session.query("SELECT sequence FROM events WHERE sequence > 0 ORDER BY sequence DESC LIMIT 1");
  return row.next() ? row.integer(0) : 0;
}

}  // namespace stele::catalog
