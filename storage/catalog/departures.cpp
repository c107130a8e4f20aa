#include "storage/catalog/departures.hpp"

#include "storage/catalog/rows.hpp"

namespace stele::catalog {
namespace {

// Columns: event, run_id, at, actor, action, rule, reason, request_id.
Departure departure_of(const sql::Query& row) {
  Departure departure{row.integer(0),
                      std::nullopt,
                      Timestamp{row.integer(2)},
                      std::string(row.text(3)),
                      std::string(row.text(4)),
                      row.optional_text(5).value_or(""),
                      row.optional_text(6).value_or(""),
                      std::string(row.text(7))};
  if (!row.is_null(1)) departure.run = row.integer(1);
  return departure;
}

// Columns: sequence, old_digest, at, actor, action, rule, reason, request_id.
TagRemoval removal_of(const sql::Query& row) {
  return TagRemoval{row.integer(0),
                    parse_column<Digest>(row.text(1), "events.old_digest"),
                    Timestamp{row.integer(2)},
                    std::string(row.text(3)),
                    std::string(row.text(4)),
                    row.optional_text(5).value_or(""),
                    row.optional_text(6).value_or(""),
                    std::string(row.text(7))};
}

std::string_view key(const std::optional<Digest>& digest) {
  return digest ? std::string_view(digest->str()) : std::string_view();
}

}  // namespace

void record_departure(Tx& tx, const RepositoryName& repository, const std::optional<Digest>& digest,
                      std::int64_t event, std::optional<std::int64_t> run) {
  tx.execute("INSERT INTO departures (repository, digest, event, run_id) VALUES ($1, $2, $3, $4)",
             repository.str(), key(digest), event, run);
}

std::vector<Departure> list_departures(Session& session, const RepositoryName& repository,
                                       const std::optional<Digest>& digest, std::int64_t limit) {
  std::vector<Departure> departures;
  auto rows = session.query(
      "SELECT d.event, d.run_id, e.at, e.actor, e.action, e.rule, e.reason, e.request_id FROM departures d "
      "JOIN events e ON e.sequence = d.event WHERE d.repository = $1 AND d.digest = $2 ORDER BY d.event DESC "
      "LIMIT $3",
      repository.str(), key(digest), limit);
  while (rows.next()) departures.push_back(departure_of(rows));
  return departures;
}

std::optional<Departure> repository_departure(Session& session, const RepositoryName& repository,
                                              const Departure& manifest) {
  auto row = session.query(
      "SELECT d.event, d.run_id, e.at, e.actor, e.action, e.rule, e.reason, e.request_id FROM departures d "
      "JOIN events e ON e.sequence = d.event WHERE d.repository = $1 AND d.digest = '' AND d.event > $2 "
      "ORDER BY d.event LIMIT 1",
      repository.str(), manifest.event);
  if (!row.next()) return std::nullopt;
  auto departure = departure_of(row);
  // A request's events have one time: they were written by one transaction.
  if (departure.request_id != manifest.request_id || departure.at != manifest.at) return std::nullopt;
  return departure;
}

std::int64_t forget_tag_history(Tx& tx, RepositoryId repository, std::int64_t limit) {
  return tx.execute(
      "DELETE FROM tag_history WHERE id IN (SELECT id FROM tag_history WHERE repository_id = $1 LIMIT $2)",
      number(repository), limit);
}

bool has_history_beyond(Session& session, RepositoryId repository, std::int64_t rows) {
  return session
      .query("SELECT 1 FROM tag_history WHERE repository_id = $1 LIMIT 1 OFFSET $2", number(repository), rows)
      .next();
}

std::optional<TagRemoval> last_name_release(Session& session, const RepositoryName& repository,
                                            const Tag& tag) {
  // The action is that of the index events_of_released_names.
  auto row = session.query(
      "SELECT sequence, old_digest, at, actor, action, rule, reason, request_id FROM events WHERE repository "
      "= $1 AND tag = $2 AND action = 'name.released' ORDER BY sequence DESC LIMIT 1",
      repository.str(), tag.str());
  if (!row.next()) return std::nullopt;
  return removal_of(row);
}

std::vector<TagRemoval> list_tag_removals(Session& session, const RepositoryName& repository, const Tag& tag,
                                          std::int64_t limit) {
  std::vector<TagRemoval> removals;
  // The actions are those of the index events_of_removed_tags.
  auto rows = session.query(
      "SELECT sequence, old_digest, at, actor, action, rule, reason, request_id FROM events WHERE repository "
      "= $1 AND tag = $2 AND action IN ('tag.delete', 'tag.expire') "
      "ORDER BY sequence DESC LIMIT $3",
      repository.str(), tag.str(), limit);
  while (rows.next()) removals.push_back(removal_of(rows));
  return removals;
}

}  // namespace stele::catalog
