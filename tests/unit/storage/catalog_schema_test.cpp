// Migrations (storage/catalog/schema.hpp): what is made, and what is refused with what to do.

#include <set>

#include "storage/catalog/departures.hpp"
#include "storage/catalog/usage.hpp"
#include "tests/unit/storage/catalog_fixture.hpp"

namespace stele {
namespace {

using namespace sql_test;

void run(const std::string& path, const char* sql) {
  const auto database = sql::open_sqlite(path).value();
  database->writer().begin();
  database->writer().run_script(sql);
  database->writer().commit();
}

std::string refusal(const std::string& path) {
  const auto database = sql::open_sqlite(path).value();
  const auto migrated = catalog::migrate(*database);
  CHECK(errc(migrated) == Errc::corrupt);
  CHECK_FALSE(database->writer().in_transaction());
  return migrated.error().message();
}

TEST_CASE("schema: an empty database becomes a catalog, once", "[catalog]") {
  TemporaryDirectory directory;
  const std::string path = directory / "stele.db";
  {
    const auto database = sql::open_sqlite(path).value();
    REQUIRE(fine(catalog::migrate(*database)));
    const auto tables = database->writer().tables();
    for (const char* name : {"meta",
                             "repositories",
                             "manifests",
                             "manifest_references",
                             "tags",
                             "tag_history",
                             "blobs",
                             "repository_blobs",
                             "uploads",
                             "events",
                             "reviews",
                             "removed_names",
                             "policy_versions",
                             "locks",
                             "holds",
                             "manifest_use",
                             "in_use_reports",
                             "in_use",
                             "in_use_unknown",
                             "untagged_manifests",
                             "lifecycle_runs",
                             "lifecycle_waiting",
                             "trash",
                             "trash_tags",
                             "trash_references",
                             "departures",
                             "repository_usage",
                             "quarantine",
                             "mirrored_tags"}) {
      INFO(name);
      CHECK(std::count(tables.begin(), tables.end(), name) == 1);
    }
    CHECK(tables.size() == 33);
  }
  const std::string before = all_rows(path);
  {
    const auto database = sql::open_sqlite(path).value();
    CHECK(fine(catalog::migrate(*database)));
    CHECK(fine(catalog::migrate(*database)));
    // The reader sees it at once.
    CHECK(fine(database->read([](sql::Session& session) -> Result<std::vector<std::string>> {
      return catalog::list_repositories(session, "", 1);
    })));
  }
  CHECK(all_rows(path) == before);
  CHECK(before.find("schema_version|" + std::to_string(catalog::schema_version) + "|") != std::string::npos);
}

TEST_CASE("schema: every table is STRICT", "[catalog]") {
  TemporaryDirectory directory;
  const auto database = sql::open_sqlite(directory / "stele.db").value();
  REQUIRE(fine(catalog::migrate(*database)));
  auto tables = database->writer().query(
      "SELECT name FROM pragma_table_list WHERE strict = 0 AND name NOT LIKE 'sqlite%'");
  CHECK_FALSE(tables.next());
}

// What an earlier version left, made from a catalog of today: without what the last migration makes.
void take_back_to_version_3(sql::WriteConnection& connection) {
  std::string script = "PRAGMA defer_foreign_keys = ON;";
  const std::set<std::string> of_version_3{
      "meta",          "repositories", "manifests", "manifest_references", "tags",
      "tag_history",   "blobs",        "events",    "repository_blobs",    "uploads",
      "removed_names", "locks",        "holds",     "policy_versions"};
  auto tables = connection.tables();
  // Those that refer to others are the younger ones.
  std::reverse(tables.begin(), tables.end());
  for (const auto& table : tables) {
    if (!of_version_3.contains(table)) script += "DROP TABLE " + table + ";";
  }
  script +=
      "DROP INDEX manifests_by_digest; DROP INDEX manifest_references_by_config; DROP INDEX "
      "events_of_removed_tags; DROP INDEX events_of_released_names; ALTER TABLE tags DROP COLUMN "
      "pushed_again_at; CREATE TABLE review_queue (id "
      "INTEGER PRIMARY KEY);"
      "CREATE INDEX locks_by_tag ON locks (repository, tag, until); CREATE INDEX holds_by_name ON holds "
      "(name);"
      "UPDATE meta SET value = '3' WHERE key = 'schema_version';";
  connection.run_script(script);
}

TEST_CASE("schema: a catalog of version 3 gets what it holds counted, and what went", "[catalog]") {
  TemporaryDirectory directory;
  const auto database = sql::open_sqlite(directory / "stele.db").value();
  REQUIRE(fine(catalog::migrate(*database)));
  auto& connection = database->writer();
  connection.begin();
  catalog::Tx tx(connection);
  const auto a = catalog::ensure_repository(tx, parsed<RepositoryName>("a"), {1});
  const auto b = catalog::ensure_repository(tx, parsed<RepositoryName>("b"), {1});
  insert(tx, a, image("one"));
  insert(tx, a, image("two"));
  for (const char* blob : {"x", "yy"})
    catalog::insert_blob(tx, digest_of(blob), std::string(blob).size(), {1});
  catalog::link_blob(tx, a, digest_of("x"), {1});
  catalog::link_blob(tx, a, digest_of("yy"), {1});
  catalog::link_blob(tx, b, digest_of("yy"), {1});
  const auto usage_a = catalog::find_usage(tx, a), usage_b = catalog::find_usage(tx, b);
  CHECK(usage_a->shared_bytes == 2);
  const auto past_event = [&](const char* action, const std::optional<std::string>& digest) {
    tx.execute(
        "INSERT INTO events (at, actor, action, repository, old_digest, request_id) VALUES (5, 'bob', $1, "
        "'gone', $2, 'r')",
        action, digest);
  };
  past_event("manifest.push", digest_of("m").str());
  past_event("manifest.delete", digest_of("m").str());
  past_event("repository.delete", std::nullopt);
  take_back_to_version_3(connection);
  connection.commit();
  REQUIRE(fine(catalog::migrate(*database)));
  CHECK(catalog::find_usage(tx, a) == usage_a);
  CHECK(catalog::find_usage(tx, b) == usage_b);
  const auto gone = parsed<RepositoryName>("gone");
  const auto manifest = catalog::list_departures(tx, gone, digest_of("m"), 9);
  REQUIRE(manifest.size() == 1);
  CHECK(manifest[0].action == "manifest.delete");
  CHECK(manifest[0].actor == "bob");
  const auto whole = catalog::list_departures(tx, gone, std::nullopt, 9);
  REQUIRE(whole.size() == 1);
  CHECK(catalog::repository_departure(tx, gone, manifest[0])->event == whole[0].event);
}

TEST_CASE("schema: a newer catalog is refused and left alone", "[catalog]") {
  TemporaryDirectory directory;
  const std::string path = directory / "stele.db";
  REQUIRE(fine(catalog::migrate(*sql::open_sqlite(path).value())));
  const std::string newer = std::to_string(catalog::schema_version + 1);
  run(path, ("UPDATE meta SET value = '" + newer + "' WHERE key = 'schema_version'").c_str());
  const std::string before = all_rows(path);
  const std::string message = refusal(path);
  CHECK(message.find("version " + newer) != std::string::npos);
  CHECK(message.find("newer stele") != std::string::npos);
  CHECK(all_rows(path) == before);
}

TEST_CASE("schema: somebody else's database is refused and left alone", "[catalog]") {
  TemporaryDirectory directory;
  const std::string path = directory / "stele.db";
  const char* script =
      GENERATE("CREATE TABLE songs (title TEXT)", "CREATE TABLE meta (name TEXT, content TEXT)",
               "CREATE TABLE meta (key TEXT, value TEXT)",
               "CREATE TABLE meta (key TEXT, value TEXT); INSERT INTO meta VALUES ('schema_version', 'x1')",
               "CREATE TABLE meta (key TEXT, value TEXT); INSERT INTO meta VALUES ('schema_version', '0')",
               "CREATE TABLE meta (key TEXT, value TEXT); INSERT INTO meta VALUES ('schema_version', '')");
  run(path, script);
  const std::string before = all_rows(path);
  CHECK(refusal(path).find("not a Stele catalog") != std::string::npos);
  CHECK(all_rows(path) == before);
}

}  // namespace
}  // namespace stele
