// Migrations (storage/catalog/schema.hpp): what is made, and what is refused with what to do.

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
    for (const char* name : {"meta", "repositories", "manifests", "manifest_references", "tags",
                             "tag_history", "blobs", "repository_blobs", "uploads", "events", "review_queue",
                             "removed_names", "policy_versions", "locks", "holds"}) {
      INFO(name);
      CHECK(std::count(tables.begin(), tables.end(), name) == 1);
    }
    CHECK(tables.size() == 15);
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
