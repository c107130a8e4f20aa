// No query of the catalog looks at more rows than it answers with (I10): each one's plan, as SQLite tells it,
// searches an index and sorts nothing.

#include <iostream>
#include <set>

#include "storage/catalog/protection.hpp"
#include "tests/unit/storage/catalog_fixture.hpp"

namespace stele {
namespace {

using namespace sql_test;
using catalog::Tx;

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

void call_everything(Tx& tx) {
  const auto name = parsed<RepositoryName>("prod/app");
  const auto tag = parsed<Tag>("v1");
  const std::string bytes = image("one", digest_of("subject"));
  const Digest digest = digest_of(bytes);
  const auto repository = catalog::ensure_repository(tx, name, {1});
  catalog::list_repositories(tx, "", 9);
  const auto manifest = insert(tx, repository, bytes);
  catalog::set_tag(tx, repository, name, {tag, manifest, digest, {1}, "alice"});
  REQUIRE(fine(catalog::manifest_by_tag(tx, name, tag)));
  REQUIRE(fine(catalog::manifest_by_digest(tx, name, digest)));
  catalog::referring_manifest(tx, repository, digest);
  REQUIRE(fine(catalog::find_tag(tx, repository, name, tag)));
  catalog::tags_of_manifest(tx, manifest, 9);
  catalog::list_tags(tx, repository, "", 9);
  const std::optional<Digest> now = digest;
  const std::string actor = "alice";
  catalog::append_tag_history(tx, repository, {tag, now, now, {1}, actor, 1});
  catalog::list_tag_history(tx, repository, tag, 9, 9);
  catalog::tag_history_at(tx, repository, tag, {1});
  catalog::list_bindings_since(tx, {1}, 0, 9);
  catalog::tag_ever_had(tx, repository, tag, digest);
  REQUIRE(fine(catalog::list_tag_bindings(tx, repository, name, "", 9)));
  catalog::put_removed_name(tx, name, tag, {"immutable", digest, {1}, actor, {}, "", ""});
  REQUIRE(fine(catalog::find_removed_name(tx, name, tag)));
  catalog::list_removed_names(tx, "", "", 9);
  catalog::delete_removed_name(tx, name, tag);
  catalog::insert_policy(tx, "sha256:0", "", {1}, actor);
  catalog::last_policy_hash(tx);
  catalog::list_policies(tx, 9);
  catalog::policy_source(tx, "sha256:0");
  catalog::some_manifests(tx, repository, 9);
  catalog::some_blobs(tx, repository, 9);
  catalog::referring_to(tx, repository, digest, 9);
  catalog::named_content(tx, manifest);
  catalog::put_lock(tx, {name, digest, tag, "governance", {9}, "r", {1}, actor});
  catalog::any_lock(tx, name, {1});
  catalog::longest_lock(tx, name, {1});
  catalog::lock_on_manifest(tx, name, digest, {1});
  catalog::lock_on_tag(tx, name, tag, digest, {1});
  catalog::list_locks(tx, name, "", "", 9);
  catalog::delete_lock(tx, name, digest, tag);
  const auto hold = catalog::insert_hold(tx, {0, "h", "c", "r", name, tag, digest, {1}, actor, {}, {}, {}});
  catalog::find_hold(tx, hold);
  catalog::hold_on_repository(tx, name);
  catalog::hold_on_tag(tx, name, tag);
  catalog::hold_on_manifest(tx, name, digest);
  catalog::any_hold(tx, name);
  catalog::list_holds(tx, 0, true, 9);
  catalog::list_holds(tx, 0, false, 9);
  catalog::release_hold(tx, hold, {1}, actor, "over");
  catalog::manifests_naming(tx, repository, digest, 9);
  catalog::subject_of(tx, repository, digest);
  catalog::store_release_time(tx, {1});
  catalog::stored_release_time(tx);
  catalog::list_referrers(tx, repository, digest, std::nullopt, 0, 9);
  catalog::list_referrers(tx, repository, digest, "application/x", 0, 9);
  catalog::insert_blob(tx, digest, 1, {1});
  catalog::link_blob(tx, repository, digest, {1});
  catalog::find_blob(tx, digest);
  catalog::find_blob_in(tx, name, digest);
  catalog::repository_has_blob(tx, repository, digest);
  catalog::manifest_needing_blob(tx, repository, digest);
  catalog::repositories_with_blob(tx, digest, 9);
  catalog::unlink_blob(tx, repository, digest);
  const UploadId upload = UploadId::random();
  catalog::insert_upload(tx, {upload, "prod/app", "alice", 0, "", {1}, {1}});
  catalog::update_upload(tx, upload, 1, "", {1});
  catalog::find_upload(tx, upload);
  catalog::list_uploads(tx, {9}, 9);
  catalog::delete_upload(tx, upload);
  catalog::queue_review(tx, "blob", digest, {1});
  catalog::delete_tag(tx, repository, tag);
  catalog::delete_manifest(tx, manifest);
  catalog::delete_repository(tx, repository);
}

std::vector<std::string> plan_of(sql::Session& session, const std::string& text) {
  std::vector<std::string> steps;
  auto rows = session.query("EXPLAIN QUERY PLAN " + text);
  while (rows.next()) steps.emplace_back(rows.text(3));
  return steps;
}

TEST_CASE("catalog: every query searches an index (I10)", "[catalog]") {
  TemporaryDirectory directory;
  const auto database = sql::open_sqlite(directory / "stele.db").value();
  REQUIRE(fine(catalog::migrate(*database)));
  RecordingConnection recorder(database->writer());
  recorder.begin();
  Tx tx(recorder);
  call_everything(tx);
  recorder.commit();
  CHECK(recorder.texts.size() >= 30);
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
      if (step.find("SEARCH l USING PRIMARY KEY") != std::string::npos) {
        CHECK(step.find("repository_id=? AND blob_id=?") != std::string::npos);
      }
    }
  }
  std::cout << "catalog: " << recorder.texts.size() << " queries, " << steps
            << " steps, all of them searches\n";
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
