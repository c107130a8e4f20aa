#include "storage/catalog/lifecycle.hpp"

#include "storage/catalog/rows.hpp"

namespace stele::catalog {
namespace {

// Columns as in RunRow.
RunRow run_row(const sql::Query& row) {
  RunRow run;
  run.id = row.integer(0);
  run.state = row.text(1);
  run.started_by = row.text(2);
  run.policy_hash = row.text(3);
  run.plan_hash = row.text(4);
  run.begun_at = Timestamp{row.integer(5)};
  if (!row.is_null(6)) run.ended_at = Timestamp{row.integer(6)};
  run.repositories = row.integer(7);
  run.removed = row.integer(8);
  run.untagged = row.integer(9);
  run.survived = row.integer(10);
  run.blocked = row.integer(11);
  run.bytes = row.integer(12);
  run.message = row.text(13);
  return run;
}

std::optional<RunRow> first_run(sql::Query row) {
  if (!row.next()) return std::nullopt;
  return run_row(row);
}

}  // namespace

void visit_manifests(Session& session, RepositoryId repository,
                     const std::function<void(const ManifestRow&)>& visit) {
  auto rows = session.query(
      "SELECT m.id, m.digest, m.media_type, m.artifact_type, m.subject, m.size, m.created_at, u.since FROM "
      "manifests "
      "m LEFT JOIN untagged_manifests u ON u.manifest_id = m.id WHERE m.repository_id = $1 ORDER BY m.digest",
      number(repository));
  while (rows.next()) {
    ManifestRow row{
        ManifestId(rows.integer(0)), rows.text(1), rows.text(2), rows.text(3), std::nullopt, rows.integer(5),
        Timestamp{rows.integer(6)},  std::nullopt};
    if (!rows.is_null(4)) row.subject = rows.text(4);
    if (!rows.is_null(7)) row.untagged_since = Timestamp{rows.integer(7)};
    visit(row);
  }
}

void visit_references(Session& session, RepositoryId repository,
                      const std::function<void(const ReferenceInOrder&)>& visit) {
  auto rows = session.query(
      "SELECT manifest_id, kind, digest FROM manifest_references WHERE repository_id = $1 ORDER BY digest, "
      "kind",
      number(repository));
  while (rows.next()) visit({ManifestId(rows.integer(0)), rows.text(1), rows.text(2)});
}

void visit_tags(Session& session, RepositoryId repository, const std::function<void(const TagRow&)>& visit) {
  auto rows = session.query(
      "SELECT name, manifest_id, pushed_at, COALESCE(pushed_again_at, pushed_at) FROM tags "
      "WHERE repository_id = $1 ORDER BY name",
      number(repository));
  while (rows.next()) {
    const Timestamp bound_at{rows.integer(2)};
    const Timestamp pushed_at = std::max(bound_at, Timestamp{rows.integer(3)});
    visit({rows.text(0), ManifestId(rows.integer(1)), bound_at, pushed_at});
  }
}

std::int64_t last_binding(Session& session, RepositoryId repository, std::string_view tag) {
  auto rows = session.query(
      "SELECT id FROM tag_history WHERE repository_id = $1 AND tag = $2 ORDER BY id DESC LIMIT 1",
      number(repository), tag);
  return rows.next() ? rows.integer(0) : 0;
}

void visit_links(Session& session, RepositoryId repository,
                 const std::function<void(const LinkRow&)>& visit) {
  auto rows = session.query(
      "SELECT b.digest, b.size, EXISTS (SELECT 1 FROM repository_blobs o WHERE o.blob_id = l.blob_id AND "
      "o.repository_id <> l.repository_id) FROM repository_blobs l JOIN blobs b ON b.id = l.blob_id WHERE "
      "l.repository_id = $1",
      number(repository));
  while (rows.next()) visit({rows.text(0), rows.integer(1), rows.integer(2) != 0});
}

bool referrer_since(Session& session, RepositoryId repository, const Digest& subject, const Since& since) {
  return session
      .query(
          "SELECT 1 FROM manifests WHERE repository_id = $1 AND subject = $2 AND (id > $3 OR created_at >= "
          "$4) "
          "LIMIT 1",
          number(repository), subject.str(), number(since.highest), since.at.microseconds)
      .next();
}

std::vector<ManifestId> indexes_listing(Session& session, RepositoryId repository, const Digest& digest,
                                        std::int64_t limit) {
  std::vector<ManifestId> indexes;
  auto rows = session.query(
      "SELECT manifest_id FROM manifest_references WHERE repository_id = $1 AND digest = $2 AND kind = "
      "'entry' LIMIT "
      "$3",
      number(repository), digest.str(), limit);
  while (rows.next()) indexes.push_back(ManifestId(rows.integer(0)));
  return indexes;
}

std::vector<ManifestId> images_with_blob(Session& session, RepositoryId repository, const Digest& digest,
                                         std::int64_t limit) {
  std::vector<ManifestId> manifests;
  // One kind at a time: each is in the order of the index, so that no more is read than `limit` rows.
  for (const std::string_view kind : {"layer", "config"}) {
    const std::int64_t room = limit - static_cast<std::int64_t>(manifests.size());
    auto rows = session.query(
        "SELECT manifest_id FROM manifest_references WHERE repository_id = $1 AND digest = $2 AND kind = $3 "
        "ORDER BY manifest_id DESC LIMIT $4",
        number(repository), digest.str(), kind, room);
    while (rows.next()) manifests.push_back(ManifestId(rows.integer(0)));
  }
  return manifests;
}

std::int64_t insert_run(Tx& tx, const RunRow& run) {
  auto inserted = tx.query(
      "INSERT INTO lifecycle_runs (state, started_by, policy_hash, plan_hash, begun_at, repositories, "
      "removed, "
      "untagged, survived, blocked, bytes, message) VALUES ($1, $2, $3, $4, $5, 0, 0, 0, 0, 0, 0, '') "
      "RETURNING id",
      run.state, run.started_by, run.policy_hash, run.plan_hash, run.begun_at.microseconds);
  inserted.next();
  const std::int64_t id = inserted.integer(0);
  inserted.next();  // the statement has ended only when it says so
  return id;
}

void update_run(Tx& tx, const RunRow& run) {
  const auto ended = run.ended_at ? std::optional<std::int64_t>(run.ended_at->microseconds) : std::nullopt;
  tx.execute(
      "UPDATE lifecycle_runs SET state = $2, ended_at = $3, repositories = $4, removed = $5, untagged = $6, "
      "survived = "
      "$7, blocked = $8, bytes = $9, message = $10 WHERE id = $1",
      run.id, run.state, ended, run.repositories, run.removed, run.untagged, run.survived, run.blocked,
      run.bytes, run.message);
}

std::optional<RunRow> find_run(Session& session, std::int64_t id) {
  return first_run(
      session.query("SELECT id, state, started_by, policy_hash, plan_hash, begun_at, ended_at, repositories, "
                    "removed, untagged, "
                    "survived, blocked, bytes, message FROM lifecycle_runs WHERE id = $1",
                    id));
}

std::vector<RunRow> list_runs(Session& session, std::int64_t before, std::int64_t limit) {
  std::vector<RunRow> runs;
  auto rows = session.query(
      "SELECT id, state, started_by, policy_hash, plan_hash, begun_at, ended_at, repositories, removed, "
      "untagged, "
      "survived, blocked, bytes, message FROM lifecycle_runs WHERE id < $1 ORDER BY id DESC LIMIT $2",
      before, limit);
  while (rows.next()) runs.push_back(run_row(rows));
  return runs;
}

std::optional<RunRow> last_run_of(Session& session, std::string_view started_by) {
  return first_run(session.query(
      "SELECT id, state, started_by, policy_hash, plan_hash, begun_at, ended_at, repositories, removed, "
      "untagged, "
      "survived, blocked, bytes, message FROM lifecycle_runs WHERE started_by = $1 ORDER BY id DESC LIMIT 1",
      started_by));
}

std::int64_t interrupt_runs(Tx& tx, Timestamp now, const std::string& message) {
  return tx.execute(
      "UPDATE lifecycle_runs SET state = 'interrupted', ended_at = $1, message = $2 WHERE state = 'running'",
      now.microseconds, message);
}

void insert_waiting(Tx& tx, std::int64_t run, const WaitingRow& waiting) {
  tx.execute("INSERT INTO lifecycle_waiting (run_id, repository, reason, plan) VALUES ($1, $2, $3, $4)", run,
             waiting.repository, waiting.reason, as_bytes(waiting.plan));
}

std::vector<WaitingRow> list_waiting(Session& session, std::int64_t run) {
  std::vector<WaitingRow> waiting;
  auto rows = session.query(
      "SELECT repository, reason, plan FROM lifecycle_waiting WHERE run_id = $1 ORDER BY repository", run);
  while (rows.next())
    waiting.push_back(
        {std::string(rows.text(0)), std::string(rows.text(1)), std::string(as_text(rows.bytes(2)))});
  return waiting;
}

void delete_waiting(Tx& tx, std::int64_t run) {
  tx.execute("DELETE FROM lifecycle_waiting WHERE run_id = $1", run);
}

void delete_waiting(Tx& tx, std::int64_t run, std::string_view repository) {
  tx.execute("DELETE FROM lifecycle_waiting WHERE run_id = $1 AND repository = $2", run, repository);
}

bool any_waiting(Session& session, std::int64_t run) {
  return session.query("SELECT 1 FROM lifecycle_waiting WHERE run_id = $1 LIMIT 1", run).next();
}

std::vector<std::int64_t> runs_waiting_for(Session& session, std::string_view repository) {
  std::vector<std::int64_t> runs;
  auto rows =
      session.query("SELECT run_id FROM lifecycle_waiting WHERE repository = $1 ORDER BY run_id", repository);
  while (rows.next()) runs.push_back(rows.integer(0));
  return runs;
}

std::int64_t count_waiting_runs(Session& session) {
  auto row = session.query("SELECT count(*) FROM lifecycle_runs WHERE state = 'waiting'");
  row.next();
  return row.integer(0);
}

}  // namespace stele::catalog
