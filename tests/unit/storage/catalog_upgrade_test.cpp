// Upgrades (I1, I3): a catalog that an earlier version left, with data in every table, becomes one of today,
// and nothing that it held is lost or changed. The scripts of released versions are pinned: a catalog out
// there was made by them.

#include <map>

#include "storage/catalog/checks.hpp"
#include "storage/catalog/departures.hpp"
#include "storage/catalog/rows.hpp"
#include "storage/catalog/usage.hpp"
#include "tests/unit/storage/catalog_fixture.hpp"

namespace stele {
namespace {

using namespace sql_test;

// By version. One is added when a version has landed; none is ever changed.
const std::map<std::int64_t, std::string> released{
    {1, "sha256:1b12cf829cc8bd42c47b5888b7d8d98e58583bdcfe3015c9d1e9e9cd7d2b93ba"},
    {2, "sha256:d6bb3988550f8edff965e863b676161f364833897f0399d2d9fde095c7417754"},
    {3, "sha256:e6f600857ff6f60347d94c6d2dc73e7cb1927b5edfe0d747257f7287bd270018"},
    {4, "sha256:72792a711db96dd786d8cf244662a78c78599e232be480124aadc5a8727707c8"},
    {5, "sha256:d0a3d52b1b1296fe46e70c7d448e6801ba5d54e8e5560d051b80fea0f87b3f0f"},
    {6, "sha256:6336243532ef7e37231ccda6cd3c7c4fe02cbe6219b93d6e07975d1dbdc147c1"},
    {7, "sha256:aa3e9cc0b0bf38a2423f7c69d3ef626cce3d2135785ff7c1850151fafbfd5566"},
    {8, "sha256:de70cca6557ef2b0734d623f837a208c0d50e00dc221b165e41b3bbb038e2ab9"},
    {9, "sha256:a323049f9365bb932ac785d6e8378b6a46470c7edb557f96d442d2c416616d10"},
    {10, "sha256:d5097e03d62e4cfd90acf7ef12cd5dd6a566bb854472b32647ddfda30577910a"},
};

TEST_CASE("upgrade: the scripts of released versions never change", "[catalog]") {
  for (const auto& [version, digest] : released) {
    INFO("version " << version);
    CHECK(digest_of(catalog::migration_script(version)).str() == digest);
  }
  // The newest may still be in the making; every one before it is out there.
  CHECK(released.size() + 1 >= static_cast<std::size_t>(catalog::schema_version));
}

struct Content {
  std::string bytes = image("one");
  Digest digest = digest_of(bytes);
  Digest config = digest_of("config one"), layer = digest_of("layer one");
};

// The tables of version 4: the collector, use, lifecycle and the trash, departures, usage, quarantine.
void fill_collection(sql::WriteConnection& tx, const Content& content) {
  const std::string digest = content.digest.str();
  tx.execute(
      "INSERT INTO reviews (blob_id, repository_id, review_after) VALUES (1, 1, 0), (2, 1, 0), (2, 2, 0), "
      "(3, "
      "0, 0)");
  tx.execute("INSERT INTO manifest_use (manifest_id, pulled_at) VALUES (1, 33)");
  tx.execute("INSERT INTO untagged_manifests (manifest_id, since) VALUES (2, 34)");
  tx.execute(
      "INSERT INTO in_use_reports (cluster, reported_at, reported_by, lease_seconds, images, protected, "
      "unknown) VALUES ('prod-eu', 35, 'robot', 86400, 2, 1, 1)");
  tx.execute(
      "INSERT INTO in_use (cluster, repository, digest, seen_since) VALUES ('prod-eu', 'prod/app', $1, 35)",
      digest);
  tx.execute("INSERT INTO in_use_unknown (cluster, reference) VALUES ('prod-eu', 'elsewhere/app:1')");
  tx.execute(
      "INSERT INTO lifecycle_runs (id, state, started_by, policy_hash, plan_hash, begun_at, ended_at, "
      "repositories, removed, untagged, survived, blocked, bytes, message) VALUES (7, 'waiting', 'schedule', "
      "'sha256:0', '', 36, 37, 2, 1, 1, 0, 0, 9, 'prod/app waits')");
  tx.execute(
      "INSERT INTO lifecycle_waiting (run_id, repository, reason, plan) VALUES (7, 'prod/app', 'r', $1)",
      as_bytes("{}"));
  tx.execute(
      "INSERT INTO trash (id, run_id, repository_id, digest, media_type, subject, size, created_at, "
      "created_by, pulled_at, removed_at, erase_after, rule, reason, checksum, bytes) VALUES (5, 7, 1, $1, "
      "'application/x', NULL, 5, 20, 'alice', NULL, 36, 99, 'ci', 'r', $2, $3)",
      digest_of("trash").str(), catalog::manifest_checksum(digest_of("trash").str(), "application/x"),
      as_bytes("trash"));
  tx.execute(
      "INSERT INTO trash_tags (trash_id, tag, repository_id, pushed_at, pushed_by) VALUES (5, 'pr-1', 1, 20, "
      "'alice')");
  tx.execute("INSERT INTO trash_references (trash_id, digest, repository_id) VALUES (5, $1, 1)",
             content.layer.str());
  tx.execute("INSERT INTO departures (repository, digest, event, run_id) VALUES ('gone', $1, 3, NULL)",
             digest);
  tx.execute(
      "INSERT INTO repository_usage (repository_id, manifests, manifest_bytes, blobs, blob_bytes, "
      "shared_bytes, trash_manifests, trash_bytes) SELECT 1, 2, SUM(size), 2, 19, 9, 1, 5 FROM manifests");
  tx.execute("INSERT INTO quarantine (blob_id, found_at, problem) VALUES (2, 38, 'missing')");
}

// Rows in the tables that every version has.
void fill_first_tables(sql::WriteConnection& tx, const Content& content) {
  const std::string digest = content.digest.str(), type = "application/vnd.oci.image.manifest.v1+json";
  const auto referrer = image("signature", content.digest, "application/x");
  const auto signature = digest_of(referrer).str();
  tx.execute("INSERT INTO repositories (id, name, created_at) VALUES (1, 'prod/app', 10), (2, 'copy', 11)");
  const auto manifest = [&](std::int64_t id, const std::string& name, const std::string& bytes,
                            const std::optional<std::string>& subject) {
    tx.execute(
        "INSERT INTO manifests (id, repository_id, digest, media_type, artifact_type, subject, size, "
        "referrer_descriptor, checksum, created_at, created_by, bytes) VALUES ($1, 1, $2, $3, "
        "'application/x', $4, $5, "
        "$6, $7, 20, 'alice', $8)",
        id, name, type, subject, static_cast<std::int64_t>(bytes.size()),
        subject ? std::optional<std::string>("{}") : std::nullopt, catalog::manifest_checksum(name, type),
        as_bytes(bytes));
  };
  manifest(1, digest, content.bytes, {});
  manifest(2, signature, referrer, digest);
  tx.execute(
      "INSERT INTO manifest_references (manifest_id, kind, digest, repository_id) VALUES (1, 'config', $1, "
      "1), "
      "(1, 'layer', $2, 1), (2, 'subject', $3, 1)",
      content.config.str(), content.layer.str(), digest);
  tx.execute(
      "INSERT INTO tags (repository_id, name, manifest_id, pushed_at, pushed_by, checksum) VALUES "
      "(1, '1.0.0', 1, 30, 'alice', $1)",
      catalog::tag_checksum("prod/app", "1.0.0", digest));
  tx.execute(
      "INSERT INTO events (sequence, at, actor, action, repository, tag, old_digest, new_digest, request_id) "
      "VALUES "
      "(1, 30, 'alice', 'tag.set', 'prod/app', '1.0.0', NULL, $1, 'r1'), (2, 31, 'bob', 'manifest.push', "
      "'prod/app', NULL, NULL, $1, 'r2'), "
      "(3, 32, 'bob', 'manifest.delete', 'gone', NULL, $1, NULL, 'r3')",
      digest);
  tx.execute(
      "INSERT INTO tag_history (id, repository_id, tag, previous_digest, digest, at, actor, event) VALUES "
      "(1, 1, '1.0.0', NULL, $1, 30, 'alice', 1)",
      digest);
  tx.execute(
      "INSERT INTO blobs (id, digest, size, state, created_at) VALUES (1, $1, 10, 'live', 5), (2, $2, 9, "
      "'live', 6), "
      "(3, $3, 4, 'deleting', 7)",
      content.config.str(), content.layer.str(), digest_of("gone").str());
  tx.execute(
      "INSERT INTO repository_blobs (repository_id, blob_id, linked_at) VALUES (1, 1, 5), (1, 2, 6), (2, 2, "
      "7)");
  tx.execute(
      "INSERT INTO uploads (id, repository, actor, byte_offset, hash_state, started_at, updated_at) VALUES "
      "('0123456789abcdef0123456789abcdef', 'prod/app', 'alice', 5, $1, 8, 9)",
      as_bytes("state"));
}

// Rows in every table that the version has, as its program wrote them.
void fill(sql::WriteConnection& tx, std::int64_t version, const Content& content) {
  const std::string digest = content.digest.str();
  fill_first_tables(tx, content);
  if (version < 4) {
    tx.execute("INSERT INTO review_queue (kind, digest, review_after) VALUES ('blob', $1, 40)",
               content.layer.str());
  }
  if (version >= 2) {
    tx.execute(
        "INSERT INTO removed_names (repository, tag, mutability, digest, pushed_at, pushed_by, content, "
        "version, "
        "created, checksum) VALUES ('prod/app', '0.9.0', 'immutable', $1, 12, 'alice', '', '', '', $2)",
        digest, catalog::tag_checksum("prod/app", "0.9.0", digest));
    tx.execute(
        "INSERT INTO policy_versions (hash, source, loaded_at, loaded_by) VALUES ('sha256:0', 'rules', 13, "
        "'root')");
    tx.execute("UPDATE events SET rule = 'releases', reason = 'because' WHERE sequence = 1");
    tx.execute("UPDATE tag_history SET rule = 'releases' WHERE id = 1");
  }
  if (version >= 3) {
    tx.execute(
        "INSERT INTO locks (repository, digest, tag, mode, until, rule, stamped_at, stamped_by) VALUES "
        "('prod/app', $1, '1.0.0', 'compliance', 9000000000000000, 'releases', 14, 'alice')",
        digest);
    tx.execute(
        "INSERT INTO holds (name, case_number, reason, repository, tag, digest, set_at, set_by) VALUES "
        "('trial', '2026/77', 'r', 'prod/app', NULL, $1, 15, 'alice')",
        digest);
  }
  if (version >= 4) fill_collection(tx, content);
  if (version >= 6) {
    tx.execute(
        "INSERT INTO mirrored_tags (repository, tag, digest, media_type, size, upstream, learned_at, "
        "compared_at, checksum) VALUES ('docker.io/library/demo', '1', $1, 'application/x', 7, "
        "'https://upstream.example', 40, 41, $2)",
        digest, catalog::tag_checksum("docker.io/library/demo", "1", digest));
  }
  if (version >= 7) {
    tx.execute(
        "INSERT INTO robots (id, name, description, scopes, expires_at, created_at, created_by) VALUES (1, "
        "'ci', '', 'prod/**:pull', 99, 42, 'alice')");
    tx.execute(
        "INSERT INTO login_tokens (id, kind, subject, hash, created_at, expires_at, last_used_at) VALUES (1, "
        "'api', 'robot:ci', 'sha256:0', 42, NULL, 43)");
  }
  if (version >= 9) {
    tx.execute(
        "INSERT INTO users (id, name, password, generation, disabled_at, password_changed_at, created_at, "
        "created_by) VALUES (1, 'ann', '$y$', 2, 51, 50, 44, 'alice')");
    tx.execute("INSERT INTO user_groups (user_id, group_name) VALUES (1, 'dev')");
  }
}

// Every row of a table in the columns that it has now.
std::vector<std::string> rows_of(sql::Session& session, const std::string& table,
                                 const std::vector<std::string>& columns) {
  std::string list;
  for (const auto& column : columns) list += (list.empty() ? "quote(" : " || '|' || quote(") + column + ")";
  std::vector<std::string> rows;
  auto found = session.query("SELECT " + list + " FROM " + table + " ORDER BY 1");
  while (found.next()) rows.emplace_back(found.text(0));
  return rows;
}

std::vector<std::string> columns_of(sql::Session& session, const std::string& table) {
  std::vector<std::string> columns;
  auto found = session.query("SELECT name FROM pragma_table_info('" + table + "') ORDER BY cid");
  while (found.next()) columns.emplace_back(found.text(0));
  return columns;
}

TEST_CASE("upgrade: from every earlier version, nothing that the catalog held is lost (I1, I3)",
          "[catalog]") {
  const auto from = static_cast<std::int64_t>(GENERATE(range(1, static_cast<int>(catalog::schema_version))));
  INFO("from version " << from);
  const Content content;
  TemporaryDirectory directory;
  const auto database = sql::open_sqlite(directory / "stele.db").value();
  auto& connection = database->writer();
  connection.begin();
  for (std::int64_t version = 1; version <= from; ++version)
    connection.run_script(catalog::migration_script(version));
  connection.execute("INSERT INTO meta (key, value) VALUES ('schema_version', $1), ('other', 'kept')",
                     std::to_string(from));
  fill(connection, from, content);
  std::map<std::string, std::pair<std::vector<std::string>, std::vector<std::string>>> before;
  for (const auto& table : connection.tables()) {
    const auto columns = columns_of(connection, table);
    before[table] = {columns, rows_of(connection, table, columns)};
    INFO(table);
    // A table that this test forgot would be an upgrade that nobody tried.
    CHECK_FALSE(before[table].second.empty());
  }
  connection.commit();

  REQUIRE(fine(catalog::migrate(*database)));

  before.erase("review_queue");  // queued by digest alone; the collector looks at everything once instead
  for (auto& [table, was] : before) {
    INFO(table);
    auto& [columns, rows] = was;
    if (table == "meta") std::erase(rows, "'schema_version'|'" + std::to_string(from) + "'");
    const auto now = rows_of(connection, table, columns);
    for (const auto& row : rows) {
      INFO(row);
      CHECK(std::count(now.begin(), now.end(), row) == 1);
    }
    CHECK(now.size() == rows.size() + (table == "meta" ? 1 : 0));
  }
  CHECK(all_rows(directory / "stele.db").starts_with("ok|\n["));

  // The tables are those of a new catalog.
  const auto fresh = sql::open_sqlite(directory / "fresh.db").value();
  REQUIRE(fine(catalog::migrate(*fresh)));
  const auto schema = [](sql::Session& session) {
    std::vector<std::string> texts;
    auto rows = session.query("SELECT name || ': ' || COALESCE(sql, '') FROM sqlite_schema ORDER BY name");
    while (rows.next()) texts.emplace_back(rows.text(0));
    return texts;
  };
  CHECK(schema(connection) == schema(fresh->writer()));

  // And today's program reads what yesterday's wrote.
  connection.begin();
  catalog::Tx tx(connection);
  const auto name = parsed<RepositoryName>("prod/app");
  const auto read = catalog::manifest_by_tag(tx, name, parsed<Tag>("1.0.0"));
  REQUIRE(fine(read));
  const auto repository = static_cast<catalog::RepositoryId>(1);
  CHECK(catalog::find_blob_in(tx, name, content.layer));
  CHECK(catalog::list_referrers(tx, repository, content.digest, std::nullopt, 0, 9999).referrers.size() == 1);
  const auto usage = catalog::find_usage(tx, repository);
  REQUIRE(usage);
  CHECK(*usage == catalog::recount_usage(tx, repository));
  CHECK(catalog::list_departures(tx, parsed<RepositoryName>("gone"), content.digest, 9).size() == 1);
  const auto links = catalog::due_reviews(tx, {1}, 99);
  CHECK(links.size() >= 4);  // three links and the blob that nobody has
  connection.rollback();
}

}  // namespace
}  // namespace stele
