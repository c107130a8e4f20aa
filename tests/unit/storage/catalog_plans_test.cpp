// No query of the catalog looks at more rows than it answers with (I10): each one's plan, as SQLite tells it,
// searches an index and sorts nothing; and what it takes does not grow with what is stored. Every function of
// the catalog's headers is called here, or named with the reason.

#include <sqlite3.h>

#include <iostream>
#include <map>
#include <regex>
#include <set>

#include "base/media_type.hpp"
#include "storage/catalog/checks.hpp"
#include "storage/catalog/collection.hpp"
#include "storage/catalog/departures.hpp"
#include "storage/catalog/in_use.hpp"
#include "storage/catalog/lifecycle.hpp"
#include "storage/catalog/logins.hpp"
#include "storage/catalog/meta.hpp"
#include "storage/catalog/mirrored_tags.hpp"
#include "storage/catalog/protection.hpp"
#include "storage/catalog/pulls.hpp"
#include "storage/catalog/quarantine.hpp"
#include "storage/catalog/trash.hpp"
#include "storage/catalog/usage.hpp"
#include "storage/catalog/users.hpp"
#include "tests/unit/storage/catalog_calls.hpp"
#include "tests/unit/storage/catalog_fixture.hpp"

namespace stele {
namespace {

using namespace sql_test;
using catalog::Tx;
using catalog_calls::call_everything, catalog_calls::call_what_visits_all;

class RecordingConnection final : public ForwardingConnection {
 public:
  using ForwardingConnection::ForwardingConnection;
  std::set<std::string> texts;

 protected:
  sql::Statement& statement(std::string_view sql) override {
    texts.emplace(sql);
    return ForwardingConnection::statement(sql);
  }
};

std::vector<std::string> plan_of(sql::Session& session, const std::string& text) {
  std::vector<std::string> steps;
  auto rows = session.query("EXPLAIN QUERY PLAN " + text);
  while (rows.next()) steps.emplace_back(rows.text(3));
  return steps;
}

// Called by functions that are.
const std::set<std::string> called_by_others{"begin_usage",      "end_usage",       "count_manifest",
                                             "uncount_manifest", "count_link",      "uncount_link",
                                             "count_trash",      "forget_manifest", "forget_trash"};

TEST_CASE("catalog: every function of its headers is called by these tests", "[catalog]") {
  const std::string calls = read_file("tests/unit/storage/catalog_plans_test.cpp") +
                            read_file("tests/unit/storage/catalog_calls.cpp") +
                            read_file("tests/unit/storage/catalog_fixture.hpp");
  const std::regex declared(R"((\w+)\((?:sql::)?(?:Tx|Session)&)");
  std::size_t found = 0;
  for (const auto& file : std::filesystem::directory_iterator("storage/catalog")) {
    if (file.path().extension() != ".hpp") continue;
    const std::string text = read_file(file.path());
    for (std::sregex_iterator match(text.begin(), text.end(), declared), end; match != end; ++match) {
      const std::string name = (*match)[1];
      INFO(file.path().filename().string() << ": " << name);
      ++found;
      CHECK((called_by_others.contains(name) || calls.find("catalog::" + name + "(") != std::string::npos));
    }
  }
  CHECK(found > 100);
}

// What else a registry holds, in the repositories that are asked about and in others.
void store_much(Tx& tx, int count) {
  const auto app = parsed<RepositoryName>("prod/app");
  const auto repository = catalog::ensure_repository(tx, app, {1});
  const auto run =
      catalog::insert_run(tx, {0, "running", "schedule", "p", "q", {1}, {}, 0, 0, 0, 0, 0, 0, ""});
  for (int i = 0; i < count; ++i) {
    const std::string number = std::to_string(i), many = "many " + number;
    const auto tag = parsed<Tag>("many-" + number);
    const Timestamp then{1000 + i};
    const auto other = parsed<RepositoryName>("many/n" + number);
    const auto elsewhere = catalog::ensure_repository(tx, other, then);
    const std::string bytes = image(many, digest_of("other subject " + number));
    const Digest digest = digest_of(bytes);
    for (const auto& [id, in] : {std::pair{repository, app}, std::pair{elsewhere, other}}) {
      const auto manifest = insert(tx, id, bytes);
      catalog::set_tag(tx, id, in, {tag, manifest, digest, then, "alice"});
      catalog::raise_pulled_at(tx, manifest, then);
      catalog::put_lock(tx, {in, digest, tag, "governance", {9000 + i}, "r", then, "alice"});
      const auto hold =
          catalog::insert_hold(tx, {0, many, "c", "r", in, tag, digest, then, "alice", {}, {}, {}});
      catalog::release_hold(tx, hold, then, "alice", "over");
      catalog::record_departure(tx, in, digest_of("gone " + number), 1, std::nullopt);
      catalog::put_removed_name(tx, in, parsed<Tag>("gone-" + number),
                                {"immutable", digest, then, "alice", {}, "", ""});
      catalog::put_in_trash(tx, {run,
                                 id,
                                 digest_of("trash " + number),
                                 std::nullopt,
                                 {{tag, then, "alice"}},
                                 then,
                                 {9000 + i},
                                 "r",
                                 "old"});
    }
    // The tag that is asked about has moved often.
    const auto moved = parsed<Tag>("v1");
    const std::optional<Digest> now = digest;
    catalog::append_tag_history(tx, repository, {moved, now, now, then, "alice", 1});
    const Digest blob = digest_of("blob " + number);
    catalog::insert_blob(tx, blob, 1, then);
    for (const auto id : {repository, elsewhere}) {
      catalog::link_blob(tx, id, blob, then);
      catalog::queue_review(tx, id, blob, {9000 + i});
    }
    catalog::put_in_quarantine(tx, blob, then, "missing");
    catalog::insert_upload(tx, {UploadId::random(), "prod/app", "alice", 0, "", then, {9000 + i}});
    catalog::insert_policy(tx, "sha256:" + number, "", then, "alice");
    const auto cluster = parsed<ClusterName>("many-" + number);
    catalog::put_in_use_report(tx, {cluster, then, "alice", 60, 1, 1, 1});
    catalog::add_in_use(tx, cluster, app, digest_of("used " + number), then);
    catalog::insert_robot(tx, {many, "", "**:pull", Timestamp{9000 + i}, then, "alice"});
    catalog::insert_login_token(tx, {0, "api", "robot:" + many, then, {}, {}}, "sha256:" + number);
    catalog::insert_login_token(tx, {0, "refresh", "user:many", then, Timestamp{9000 + i}, {}}, "");
    catalog::LoginToken named{0, "api", "user:many", then, {}, {}};
    named.name = number;
    catalog::insert_login_token(tx, named, "sha256:named " + number);
    auto past = catalog::RunRow{0, "running", "alice", "p", "q", then, {}, 0, 0, 0, 0, 0, 0, ""};
    past.id = catalog::insert_run(tx, past);
    past.state = "done";
    catalog::update_run(tx, past);
  }
}

// SQLite's steps by the text of the query, of a catalog that holds that much beside what is asked about.
std::map<std::string, int> steps_beside(int stored) {
  static sqlite3* opened = nullptr;  // the writer, which is opened first
  opened = nullptr;
  const auto entry = [](sqlite3* db, char**, const struct sqlite3_api_routines*) {
    if (opened == nullptr) opened = db;
    return SQLITE_OK;
  };
  using Entry = void (*)();
  const auto extension =
      reinterpret_cast<Entry>(static_cast<int (*)(sqlite3*, char**, const sqlite3_api_routines*)>(entry));
  sqlite3_auto_extension(extension);
  TemporaryDirectory directory;
  const auto database = sql::open_sqlite(directory / "stele.db").value();
  sqlite3_cancel_auto_extension(extension);
  REQUIRE(fine(catalog::migrate(*database)));
  auto& connection = database->writer();
  connection.begin();
  Tx tx(connection);
  store_much(tx, stored);
  connection.commit();
  const auto each_statement = [&](auto visit) {
    for (sqlite3_stmt* statement = nullptr; (statement = sqlite3_next_stmt(opened, statement)) != nullptr;)
      visit(statement);
  };
  each_statement(
      [](sqlite3_stmt* statement) { sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_VM_STEP, 1); });
  connection.begin();
  call_everything(tx);
  std::map<std::string, int> steps;
  each_statement([&](sqlite3_stmt* statement) {
    steps[sqlite3_sql(statement)] += sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_VM_STEP, 0);
  });
  connection.rollback();
  return steps;
}

// What may grow, by a piece of the query's text.
const std::map<std::string, std::string> may_grow{
    {"SELECT 1 FROM tag_history WHERE repository_id = $1 AND tag = $2 AND digest",
     "a rollback looks through the moves of its tag"},
    {"h.tag = $2 AND h.at <= $3",
     "a rollback to a time walks back through the moves of its tag since then: in the order of writing, not "
     "of time"},
    {"WHERE h.id > $1 AND h.at >= $2", "policy try reads the history through once, on a thread of its own"},
    {"WHERE q.blob_id >= 0", "the quarantine is small, and sorted by the caller"},
    {"FROM holds WHERE id > $1 AND released_at IS NULL", "holds are set by people"},
    {"t.media_type IS NOT NULL ORDER BY t.id", "fsck goes through the whole trash"}};

TEST_CASE("catalog: what a query takes does not grow with what is stored (I10)", "[catalog]") {
  const auto few = steps_beside(30), many = steps_beside(600);
  CHECK(few.size() > 100);
  std::set<std::string> grown;
  for (const auto& [text, steps] : many) {
    const auto before = few.find(text);
    if (before == few.end() || steps <= before->second * 2 + 50) continue;
    const auto known = std::find_if(may_grow.begin(), may_grow.end(), [&](const auto& one) {
      return text.find(one.first) != std::string::npos;
    });
    INFO(text);
    INFO(steps << " steps, " << before->second << " in a small catalog");
    CHECK(known != may_grow.end());
    if (known != may_grow.end()) grown.insert(known->first);
  }
  // What does not grow any more is taken off the list.
  for (const auto& [text, reason] : may_grow) {
    INFO(text << ": " << reason);
    CHECK(grown.contains(text));
  }
}

TEST_CASE("catalog: every query searches an index (I10)", "[catalog]") {
  TemporaryDirectory directory;
  const auto database = sql::open_sqlite(directory / "stele.db").value();
  REQUIRE(fine(catalog::migrate(*database)));
  RecordingConnection recorder(database->writer());
  recorder.begin();
  Tx tx(recorder);
  call_everything(tx);
  const auto bounded = recorder.texts;
  call_what_visits_all(tx);
  recorder.commit();
  unsigned steps = 0;
  for (const std::string& text : recorder.texts) {
    if (text == "BEGIN IMMEDIATE" || text == "COMMIT") continue;
    INFO(text);
    for (const std::string& step : plan_of(database->writer(), text)) {
      INFO(step);
      ++steps;
      CHECK(step.find("SCAN") == std::string::npos);
      CHECK(step.find("TEMP B-TREE") == std::string::npos);
      CHECK(step.find("AUTOMATIC") == std::string::npos);
      // A link is found by both of its columns: a repository with many blobs, or a blob in many, costs no
      // more.
      if (bounded.contains(text) && step.find("SEARCH l USING PRIMARY KEY") != std::string::npos) {
        CHECK(step.find("repository_id=? AND blob_id=?") != std::string::npos);
      }
    }
  }
  std::cout << "catalog: " << recorder.texts.size() << " queries, " << steps
            << " steps, all of them searches\n";
}

TEST_CASE("catalog: every index serves a query; the others would only cost each write (I10)", "[catalog]") {
  TemporaryDirectory directory;
  const auto database = sql::open_sqlite(directory / "stele.db").value();
  REQUIRE(fine(catalog::migrate(*database)));
  RecordingConnection recorder(database->writer());
  recorder.begin();
  Tx tx(recorder);
  call_everything(tx);
  call_what_visits_all(tx);
  recorder.commit();
  std::string plans;
  for (const std::string& text : recorder.texts) {
    if (text == "BEGIN IMMEDIATE" || text == "COMMIT") continue;
    for (const std::string& step : plan_of(database->writer(), text)) plans += step + " ;";
  }
  std::size_t indexes = 0;
  auto rows =
      database->writer().query("SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL");
  while (rows.next()) {
    const std::string name(rows.text(0));
    INFO(name);
    ++indexes;
    CHECK(plans.find("INDEX " + name + " ") != std::string::npos);
  }
  CHECK(indexes > 20);
}

TEST_CASE("catalog: the hot path's plans", "[catalog]") {
  TemporaryDirectory directory;
  const auto database = sql::open_sqlite(directory / "stele.db").value();
  REQUIRE(fine(catalog::migrate(*database)));
  RecordingConnection recorder(database->writer());
  Tx tx(recorder);
  const auto only_plan = [&](auto call) {
    recorder.texts.clear();
    call();
    REQUIRE(recorder.texts.size() == 1);  // one query each
    return plan_of(database->writer(), *recorder.texts.begin());
  };
  const auto name = parsed<RepositoryName>("prod/app");
  using Steps = std::vector<std::string>;
  CHECK(only_plan([&] { (void)catalog::manifest_by_tag(tx, name, parsed<Tag>("v1")); }) ==
        Steps{"SEARCH r USING COVERING INDEX sqlite_autoindex_repositories_1 (name=?)",
              "SEARCH t USING PRIMARY KEY (repository_id=? AND name=?)",
              "SEARCH m USING INTEGER PRIMARY KEY (rowid=?)"});
  CHECK(only_plan([&] { (void)catalog::manifest_by_digest(tx, name, digest_of("x")); }) ==
        Steps{"SEARCH r USING COVERING INDEX sqlite_autoindex_repositories_1 (name=?)",
              "SEARCH m USING INDEX sqlite_autoindex_manifests_1 (repository_id=? AND digest=?)"});
  const auto blob = only_plan([&] { (void)catalog::find_blob_in(tx, name, digest_of("x")); });
  REQUIRE(blob.size() == 3);
  CHECK(blob[2] == "SEARCH l USING PRIMARY KEY (repository_id=? AND blob_id=?)");
}

}  // namespace
}  // namespace stele
