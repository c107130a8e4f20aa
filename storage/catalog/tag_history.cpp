#include "storage/catalog/rows.hpp"

namespace stele::catalog {
namespace {

std::optional<Digest> optional_digest(const sql::Query& row, int column) {
  if (row.is_null(column)) return std::nullopt;
  return parse_column<Digest>(row.text(column), "tag_history.digest");
}

// Columns: id, at, actor, previous_digest, digest, rule, action, reason.
TagHistoryEntry entry_of(const sql::Query& row) {
  return TagHistoryEntry{row.integer(0),
                         Timestamp{row.integer(1)},
                         std::string(row.text(2)),
                         optional_digest(row, 3),
                         optional_digest(row, 4),
                         row.optional_text(5).value_or(""),
                         row.optional_text(6).value_or(""),
                         row.optional_text(7).value_or("")};
}

}  // namespace

void append_tag_history(Tx& tx, RepositoryId repository, const TagChange& change) {
  const auto text = [](const std::optional<Digest>& digest) {
    return digest ? std::optional<std::string_view>(digest->str()) : std::nullopt;
  };
  tx.execute(
      "INSERT INTO tag_history (repository_id, tag, previous_digest, digest, at, actor, event, rule) "
      "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
      number(repository), change.tag.str(), text(change.previous), text(change.current),
      change.at.microseconds, change.actor, change.event, change.rule);
}

std::vector<TagHistoryEntry> list_tag_history(Session& session, RepositoryId repository, const Tag& tag,
                                              std::int64_t before, std::int64_t limit) {
  std::vector<TagHistoryEntry> entries;
  if (limit <= 0) return entries;
  auto rows = session.query(
      "SELECT h.id, h.at, h.actor, h.previous_digest, h.digest, h.rule, e.action, e.reason FROM tag_history "
      "h "
      "LEFT JOIN events e ON e.sequence = h.event WHERE h.repository_id = $1 AND h.tag = $2 AND h.id < $3 "
      "ORDER BY h.id DESC LIMIT $4",
      number(repository), tag.str(), before, limit);
  while (rows.next()) entries.push_back(entry_of(rows));
  return entries;
}

std::optional<TagHistoryEntry> tag_history_at(Session& session, RepositoryId repository, const Tag& tag,
                                              Timestamp at) {
  auto row = session.query(
      "SELECT h.id, h.at, h.actor, h.previous_digest, h.digest, h.rule, e.action, e.reason FROM tag_history "
      "h "
      "LEFT JOIN events e ON e.sequence = h.event WHERE h.repository_id = $1 AND h.tag = $2 AND h.at <= $3 "
      "ORDER BY h.id DESC LIMIT 1",
      number(repository), tag.str(), at.microseconds);
  if (!row.next()) return std::nullopt;
  return entry_of(row);
}

std::vector<PastBinding> list_bindings_since(Session& session, Timestamp since, std::int64_t position,
                                             std::int64_t limit) {
  std::vector<PastBinding> bindings;
  // In the order of writing, not by time: the first that is recent enough is where one begins.
  auto rows = session.query(
      "SELECT h.id, r.name, h.tag, h.at, h.actor, h.previous_digest, h.digest, e.action FROM tag_history h "
      "JOIN repositories r ON r.id = h.repository_id LEFT JOIN events e ON e.sequence = h.event "
      "WHERE h.id > $1 AND h.at >= $2 ORDER BY h.id LIMIT $3",
      position, since.microseconds, limit);
  while (rows.next()) {
    bindings.push_back(
        PastBinding{rows.integer(0), parse_column<RepositoryName>(rows.text(1), "repositories.name"),
                    parse_column<Tag>(rows.text(2), "tag_history.tag"), Timestamp{rows.integer(3)},
                    std::string(rows.text(4)), optional_digest(rows, 5), optional_digest(rows, 6),
                    rows.optional_text(7).value_or("")});
  }
  return bindings;
}

bool tag_ever_had(Session& session, RepositoryId repository, const Tag& tag, const Digest& digest) {
  return session
      .query("SELECT 1 FROM tag_history WHERE repository_id = $1 AND tag = $2 AND digest = $3 LIMIT 1",
             number(repository), tag.str(), digest.str())
      .next();
}

}  // namespace stele::catalog
