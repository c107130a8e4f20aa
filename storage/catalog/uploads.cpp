#include "storage/catalog/rows.hpp"

namespace stele::catalog {
namespace {

UploadRow upload_row(const sql::Query& row) {
  return UploadRow{parse_column<UploadId>(row.text(0), "uploads.id"),
                   std::string(row.text(1)),
                   std::string(row.text(2)),
                   size_column(row, 3),
                   std::string(as_text(row.bytes(4))),
                   Timestamp{row.integer(5)},
                   Timestamp{row.integer(6)}};
}

}  // namespace

std::optional<UploadRow> find_upload(Session& session, const UploadId& id) {
  auto row = session.query(
      "SELECT id, repository, actor, byte_offset, hash_state, started_at, updated_at FROM uploads WHERE id = "
      "$1",
      id.str());
  if (!row.next()) return std::nullopt;
  return upload_row(row);
}

void insert_upload(Tx& tx, const UploadRow& row) {
  tx.execute(
      "INSERT INTO uploads (id, repository, actor, byte_offset, hash_state, started_at, updated_at) "
      "VALUES ($1, $2, $3, $4, $5, $6, $7)",
      row.id.str(), row.repository, row.actor, static_cast<std::int64_t>(row.offset),
      as_bytes(row.hash_state), row.started_at.microseconds, row.updated_at.microseconds);
}

void update_upload(Tx& tx, const UploadId& id, std::uint64_t offset, std::string_view hash_state,
                   Timestamp now) {
  tx.execute("UPDATE uploads SET byte_offset = $2, hash_state = $3, updated_at = $4 WHERE id = $1", id.str(),
             static_cast<std::int64_t>(offset), as_bytes(hash_state), now.microseconds);
}

void delete_upload(Tx& tx, const UploadId& id) {
  tx.execute("DELETE FROM uploads WHERE id = $1", id.str());
}

std::vector<UploadRow> list_uploads(Session& session, Timestamp updated_before, std::int64_t limit) {
  std::vector<UploadRow> uploads;
  if (limit <= 0) return uploads;
  auto rows = session.query(
      "SELECT id, repository, actor, byte_offset, hash_state, started_at, updated_at FROM uploads WHERE "
      "updated_at < $1 "
      "ORDER BY updated_at, id LIMIT $2",
      updated_before.microseconds, limit);
  while (rows.next()) uploads.push_back(upload_row(rows));
  return uploads;
}

}  // namespace stele::catalog
