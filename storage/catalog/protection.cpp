#include "storage/catalog/protection.hpp"

#include <charconv>

#include "storage/catalog/rows.hpp"

namespace stele::catalog {
namespace {

constexpr const char* release_time_key = "release_time";

// Columns: repository, digest, tag, mode, until, rule, stamped_at, stamped_by.
LockRow lock_row(const sql::Query& row) {
  return LockRow{parse_column<RepositoryName>(row.text(0), "locks.repository"),
                 parse_column<Digest>(row.text(1), "locks.digest"),
                 parse_column<Tag>(row.text(2), "locks.tag"),
                 std::string(row.text(3)),
                 Timestamp{row.integer(4)},
                 std::string(row.text(5)),
                 Timestamp{row.integer(6)},
                 std::string(row.text(7))};
}

std::optional<LockRow> first_lock(sql::Query row) {
  if (!row.next()) return std::nullopt;
  return lock_row(row);
}

// Columns: id, name, case_number, reason, repository, tag, digest, set_at, set_by, released_at, released_by,
// release_reason.
HoldRow hold_row(const sql::Query& row) {
  HoldRow hold{row.integer(0),
               std::string(row.text(1)),
               std::string(row.text(2)),
               std::string(row.text(3)),
               parse_column<RepositoryName>(row.text(4), "holds.repository"),
               std::nullopt,
               std::nullopt,
               Timestamp{row.integer(7)},
               std::string(row.text(8)),
               std::nullopt,
               row.optional_text(10).value_or(""),
               row.optional_text(11).value_or("")};
  if (!row.is_null(5)) hold.tag = parse_column<Tag>(row.text(5), "holds.tag");
  if (!row.is_null(6)) hold.digest = parse_column<Digest>(row.text(6), "holds.digest");
  if (!row.is_null(9)) hold.released_at = Timestamp{row.integer(9)};
  return hold;
}

std::optional<HoldRow> first_hold(sql::Query row) {
  if (!row.next()) return std::nullopt;
  return hold_row(row);
}

}  // namespace

void put_lock(Tx& tx, const LockRow& lock) {
  tx.execute(
      "INSERT INTO locks (repository, digest, tag, mode, until, rule, stamped_at, stamped_by) "
      "VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (repository, digest, tag) DO UPDATE SET "
      "mode = CASE WHEN locks.mode = 'compliance' THEN locks.mode ELSE excluded.mode END, "
      "until = CASE WHEN locks.until > excluded.until THEN locks.until ELSE excluded.until END, "
      "rule = excluded.rule, stamped_at = excluded.stamped_at, stamped_by = excluded.stamped_by",
      lock.repository.str(), lock.digest.str(), lock.tag.str(), lock.mode, lock.until.microseconds, lock.rule,
      lock.stamped_at.microseconds, lock.stamped_by);
}

void delete_lock(Tx& tx, const RepositoryName& repository, const Digest& digest, const Tag& tag) {
  tx.execute("DELETE FROM locks WHERE repository = $1 AND digest = $2 AND tag = $3", repository.str(),
             digest.str(), tag.str());
}

bool any_lock(Session& session, const RepositoryName& repository, Timestamp now) {
  return session
      .query("SELECT 1 FROM locks WHERE repository = $1 AND until > $2 LIMIT 1", repository.str(),
             now.microseconds)
      .next();
}

std::optional<LockRow> longest_lock(Session& session, const RepositoryName& repository, Timestamp now) {
  return first_lock(
      session.query("SELECT repository, digest, tag, mode, until, rule, stamped_at, stamped_by FROM locks "
                    "WHERE repository = $1 AND until > $2 ORDER BY until DESC LIMIT 1",
                    repository.str(), now.microseconds));
}

std::optional<LockRow> lock_on_manifest(Session& session, const RepositoryName& repository,
                                        const Digest& digest, Timestamp now) {
  // A manifest has few: one per tag that locked it. The sign keeps the planner from the repository's locks by
  // time, which are many.
  std::optional<LockRow> longest;
  auto rows = session.query(
      "SELECT repository, digest, tag, mode, until, rule, stamped_at, stamped_by FROM locks "
      "WHERE repository = $1 AND digest = $2 AND +until > $3",
      repository.str(), digest.str(), now.microseconds);
  while (rows.next()) {
    LockRow lock = lock_row(rows);
    if (!longest || lock.until > longest->until) longest = std::move(lock);
  }
  return longest;
}

std::optional<LockRow> lock_on_tag(Session& session, const RepositoryName& repository, const Tag& tag,
                                   const Digest& digest, Timestamp now) {
  return first_lock(
      session.query("SELECT repository, digest, tag, mode, until, rule, stamped_at, stamped_by FROM locks "
                    "WHERE repository = $1 AND digest = $2 AND tag = $3 AND until > $4",
                    repository.str(), digest.str(), tag.str(), now.microseconds));
}

std::vector<LockRow> list_locks(Session& session, const RepositoryName& repository, const std::string& digest,
                                const std::string& tag, std::int64_t limit) {
  std::vector<LockRow> locks;
  auto rows = session.query(
      "SELECT repository, digest, tag, mode, until, rule, stamped_at, stamped_by FROM locks "
      "WHERE repository = $1 AND (digest, tag) > ($2, $3) ORDER BY digest, tag LIMIT $4",
      repository.str(), digest, tag, limit);
  while (rows.next()) locks.push_back(lock_row(rows));
  return locks;
}

std::int64_t insert_hold(Tx& tx, const HoldRow& hold) {
  const auto tag = hold.tag ? std::optional<std::string>(hold.tag->str()) : std::nullopt;
  const auto digest = hold.digest ? std::optional<std::string>(hold.digest->str()) : std::nullopt;
  auto inserted = tx.query(
      "INSERT INTO holds (name, case_number, reason, repository, tag, digest, set_at, set_by) "
      "VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id",
      hold.name, hold.case_number, hold.reason, hold.repository.str(), tag, digest, hold.set_at.microseconds,
      hold.set_by);
  inserted.next();
  const std::int64_t id = inserted.integer(0);
  inserted.next();  // the statement has ended only when it says so
  return id;
}

void release_hold(Tx& tx, std::int64_t id, Timestamp now, const std::string& actor,
                  const std::string& reason) {
  tx.execute("UPDATE holds SET released_at = $2, released_by = $3, release_reason = $4 WHERE id = $1", id,
             now.microseconds, actor, reason);
}

std::optional<HoldRow> find_hold(Session& session, std::int64_t id) {
  return first_hold(session.query(
      "SELECT id, name, case_number, reason, repository, tag, digest, set_at, set_by, released_at, "
      "released_by, release_reason FROM holds WHERE id = $1",
      id));
}

std::optional<HoldRow> hold_on_repository(Session& session, const RepositoryName& repository) {
  return first_hold(session.query(
      "SELECT id, name, case_number, reason, repository, tag, digest, set_at, set_by, released_at, "
      "released_by, release_reason FROM holds WHERE repository = $1 AND digest IS NULL AND released_at IS "
      "NULL LIMIT 1",
      repository.str()));
}

std::optional<HoldRow> hold_on_tag(Session& session, const RepositoryName& repository, const Tag& tag) {
  return first_hold(session.query(
      "SELECT id, name, case_number, reason, repository, tag, digest, set_at, set_by, released_at, "
      "released_by, release_reason FROM holds WHERE repository = $1 AND tag = $2 AND released_at IS NULL "
      "LIMIT 1",
      repository.str(), tag.str()));
}

std::optional<HoldRow> hold_on_manifest(Session& session, const RepositoryName& repository,
                                        const Digest& digest) {
  return first_hold(session.query(
      "SELECT id, name, case_number, reason, repository, tag, digest, set_at, set_by, released_at, "
      "released_by, release_reason FROM holds WHERE repository = $1 AND digest = $2 AND released_at IS NULL "
      "LIMIT 1",
      repository.str(), digest.str()));
}

std::optional<HoldRow> any_hold(Session& session, const RepositoryName& repository) {
  return first_hold(session.query(
      "SELECT id, name, case_number, reason, repository, tag, digest, set_at, set_by, released_at, "
      "released_by, release_reason FROM holds WHERE repository = $1 AND released_at IS NULL LIMIT 1",
      repository.str()));
}

std::vector<HoldRow> holds_on(Session& session, const RepositoryName& repository) {
  std::vector<HoldRow> holds;
  auto rows = session.query(
      "SELECT id, name, case_number, reason, repository, tag, digest, set_at, set_by, released_at, "
      "released_by, release_reason FROM holds WHERE repository = $1 AND released_at IS NULL ORDER BY digest, "
      "tag, id",
      repository.str());
  while (rows.next()) holds.push_back(hold_row(rows));
  return holds;
}

std::vector<HoldRow> list_holds(Session& session, std::int64_t after, bool released, std::int64_t limit) {
  std::vector<HoldRow> holds;
  auto rows = released ? session.query(
                             "SELECT id, name, case_number, reason, repository, tag, digest, set_at, set_by, "
                             "released_at, released_by, release_reason FROM holds WHERE id > $1 ORDER BY id "
                             "LIMIT $2",
                             after, limit)
                       : session.query(
                             "SELECT id, name, case_number, reason, repository, tag, digest, set_at, set_by, "
                             "released_at, released_by, release_reason FROM holds WHERE id > $1 AND "
                             "released_at IS NULL ORDER BY id LIMIT $2",
                             after, limit);
  while (rows.next()) holds.push_back(hold_row(rows));
  return holds;
}

std::vector<Digest> manifests_naming(Session& session, RepositoryId repository, const Digest& digest,
                                     std::int64_t limit) {
  // One that names it as two things counts once: the limit is of manifests, and whoever is told fewer than
  // that takes them for all. It can name it as three things at most.
  std::vector<Digest> digests;
  auto rows = session.query(
      "SELECT digest FROM manifests WHERE id IN (SELECT manifest_id FROM manifest_references "
      "WHERE repository_id = $1 AND digest = $2 AND kind IN ('config', 'layer', 'entry') LIMIT 3 * $3) LIMIT "
      "$3",
      number(repository), digest.str(), limit);
  while (rows.next()) digests.push_back(parse_column<Digest>(rows.text(0), "manifests.digest"));
  return digests;
}

std::optional<Digest> subject_of(Session& session, RepositoryId repository, const Digest& manifest) {
  auto row = session.query("SELECT subject FROM manifests WHERE repository_id = $1 AND digest = $2",
                           number(repository), manifest.str());
  if (!row.next() || row.is_null(0)) return std::nullopt;
  return parse_column<Digest>(row.text(0), "manifests.subject");
}

std::optional<Timestamp> stored_release_time(Session& session) {
  auto row = session.query("SELECT value FROM meta WHERE key = $1", release_time_key);
  if (!row.next()) return std::nullopt;
  const std::string_view text = row.text(0);
  Timestamp time;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), time.microseconds);
  if (error != std::errc() || end != text.data() + text.size())
    throw sql::Failure(sql::Failure::Kind::corrupt, "meta has an impossible release_time");
  return time;
}

void store_release_time(Tx& tx, Timestamp time) {
  tx.execute(
      "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
      release_time_key, std::to_string(time.microseconds));
}

}  // namespace stele::catalog
