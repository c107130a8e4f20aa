#include "storage/catalog/pulls.hpp"

#include <charconv>

#include "storage/catalog/rows.hpp"

namespace stele::catalog {
namespace {

constexpr const char* record_key = "pulls_file";  // "<stamp> <flushes>"
constexpr const char* since_key = "pulls_since";  // microseconds

template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  Number value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<std::string> meta(Session& session, const char* key) {
  auto row = session.query("SELECT value FROM meta WHERE key = $1", key);
  if (!row.next()) return std::nullopt;
  return std::string(row.text(0));
}

void set_meta(Tx& tx, const char* key, const std::string& value) {
  tx.execute(
      "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
      key, value);
}

}  // namespace

void raise_pulled_at(Tx& tx, ManifestId manifest, Timestamp at) {
  tx.execute(
      "INSERT INTO manifest_use (manifest_id, pulled_at) SELECT id, $2 FROM manifests WHERE id = $1 "
      "ON CONFLICT (manifest_id) DO UPDATE SET pulled_at = excluded.pulled_at "
      "WHERE excluded.pulled_at > manifest_use.pulled_at",
      number(manifest), at.microseconds);
}

std::optional<Timestamp> pulled_at(Session& session, ManifestId manifest) {
  auto row = session.query("SELECT pulled_at FROM manifest_use WHERE manifest_id = $1", number(manifest));
  if (!row.next()) return std::nullopt;
  return Timestamp{row.integer(0)};
}

void visit_pulls(Session& session, RepositoryId repository,
                 const std::function<void(ManifestId, std::optional<Timestamp>)>& visit) {
  auto rows = session.query(
      "SELECT m.id, u.pulled_at FROM manifests m LEFT JOIN manifest_use u ON u.manifest_id = m.id "
      "WHERE m.repository_id = $1",
      number(repository));
  while (rows.next()) {
    std::optional<Timestamp> at;
    if (!rows.is_null(1)) at = Timestamp{rows.integer(1)};
    visit(ManifestId(rows.integer(0)), at);
  }
}

std::optional<PullRecord> stored_pull_record(Session& session) {
  const auto text = meta(session, record_key);
  const std::size_t space = text ? text->find(' ') : std::string::npos;
  if (space == std::string::npos) return std::nullopt;
  const auto flushes = parse_number<std::uint64_t>(std::string_view(*text).substr(space + 1));
  if (!flushes) return std::nullopt;
  return PullRecord{text->substr(0, space), *flushes};
}

std::optional<Timestamp> stored_pulls_since(Session& session) {
  const auto text = meta(session, since_key);
  const auto since = text ? parse_number<std::int64_t>(*text) : std::nullopt;
  if (!since) return std::nullopt;
  return Timestamp{*since};
}

void store_pull_record(Tx& tx, const PullRecord& record, const std::optional<Timestamp>& since) {
  set_meta(tx, record_key, record.stamp + ' ' + std::to_string(record.flushes));
  if (since) set_meta(tx, since_key, std::to_string(since->microseconds));
}

}  // namespace stele::catalog
