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
  catalog::find_repository(tx, name);
  catalog::list_repositories(tx, "", 9);
  const auto manifest = insert(tx, repository, bytes);
  catalog::set_tag(tx, repository, name, {tag, manifest, digest, {1}, "alice"});
  REQUIRE(fine(catalog::manifest_by_tag(tx, name, tag)));
  REQUIRE(fine(catalog::manifest_by_digest(tx, name, digest)));
  catalog::find_manifest(tx, repository, digest);
  catalog::manifest_origin(tx, manifest);
  catalog::is_referrer(tx, repository, digest, digest_of("subject"));
  catalog::referrer_since(tx, repository, digest_of("subject"), {manifest, {1}});
  catalog::indexes_listing(tx, repository, digest, 9);
  catalog::images_with_blob(tx, repository, digest, 9);
  catalog::referring_manifest(tx, repository, digest);
  REQUIRE(fine(catalog::find_tag(tx, repository, name, tag)));
  catalog::last_binding(tx, repository, tag.str());
  catalog::tags_of_manifest(tx, manifest, 9);
  catalog::list_tags(tx, repository, "", 9);
  const std::optional<Digest> now = digest;
  const std::string actor = "alice";
  catalog::append_tag_history(tx, repository, {tag, now, now, {1}, actor, 1});
  catalog::list_tag_history(tx, repository, tag, 9, 9);
  catalog::tag_history_at(tx, repository, tag, {1});
  catalog::tag_history_at(tx, repository, tag, {0});
  catalog::list_bindings_since(tx, {1}, 0, 9);
  catalog::list_bindings_since(tx, {1'000'000}, 0, 9);
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
  catalog::holds_on(tx, name);
  catalog::list_holds(tx, 0, true, 9);
  catalog::list_holds(tx, 0, false, 9);
  catalog::release_hold(tx, hold, {1}, actor, "over");
  catalog::manifests_naming(tx, repository, digest, 9);
  catalog::entries_of(tx, manifest);
  catalog::subject_of(tx, repository, digest);
  catalog::store_release_time(tx, {1});
  catalog::stored_release_time(tx);
  catalog::raise_pulled_at(tx, manifest, {1});
  catalog::pulled_at(tx, manifest);
  catalog::store_pull_record(tx, {"stamp", 1}, Timestamp{1});
  catalog::stored_pull_record(tx);
  catalog::stored_pulls_since(tx);
  auto run = catalog::RunRow{0, "running", "schedule", "p", "q", {1}, {}, 0, 0, 0, 0, 0, 0, ""};
  run.id = catalog::insert_run(tx, run);
  catalog::update_run(tx, run);
  catalog::find_run(tx, run.id);
  catalog::list_runs(tx, 9, 9);
  catalog::last_run_of(tx, "schedule");
  catalog::insert_waiting(tx, run.id, {"prod/app", "reason", "{}"});
  catalog::list_waiting(tx, run.id);
  catalog::any_waiting(tx, run.id);
  catalog::runs_waiting_for(tx, "prod/app");
  catalog::count_waiting_runs(tx);
  catalog::delete_waiting(tx, run.id, "prod/app");
  catalog::delete_waiting(tx, run.id);
  catalog::interrupt_runs(tx, {1}, "why");
  catalog::list_referrers(tx, repository, digest, std::nullopt, 0, 9);
  catalog::list_referrers(tx, repository, digest, "application/x", 0, 9);
  catalog::put_mirrored_tag(tx, name, tag, {digest, "type", 1, "https://u", {1}, {1}});
  REQUIRE(fine(catalog::find_mirrored_tag(tx, name, tag)));
  catalog::mirrored_tags_of(tx, name, digest, 9);
  catalog::list_mirrored_tags(tx, "docker.io", std::nullopt, 9);
  catalog::forget_mirrored_tag(tx, name, tag);
  catalog::insert_robot(tx, {"ci", "", "**:pull", Timestamp{5}, {1}, actor});
  catalog::find_robot(tx, "ci");
  catalog::list_robots(tx, "", 9);
  catalog::set_robot_expiry(tx, "ci", Timestamp{6});
  catalog::next_robot_expiry(tx, {1});
  const auto token = catalog::insert_login_token(tx, {0, "api", "robot:ci", {1}, {}, {}}, "sha256:x");
  catalog::insert_login_token(tx, {0, "refresh", "user:a", {1}, Timestamp{2}, {}}, "");
  catalog::find_login_token(tx, token);
  catalog::find_api_token(tx, "sha256:x");
  catalog::list_login_tokens(tx, 0, 9);
  catalog::list_login_tokens(tx, "robot:ci", 0, 9);
  catalog::note_login(tx, token, {3});
  catalog::LoginToken named{0, "api", "user:a", {1}, {}, {}};
  named.name = "laptop";
  named.scopes = "**:pull";
  named.fingerprint = "sha256:0";
  catalog::insert_login_token(tx, named, "sha256:y");
  REQUIRE(catalog::find_named_token(tx, "user:a", "laptop"));
  REQUIRE(catalog::list_named_tokens(tx, "user:a", 9).size() == 1);
  catalog::end_login_tokens(tx, "robot:nobody", token, {3});
  catalog::trim_refresh_tokens(tx, "user:a", 9);
  catalog::any_expired_login_token(tx, {2}, 1);
  catalog::expire_login_tokens(tx, {2}, 1, 9);
  catalog::delete_login_token(tx, token);
  catalog::delete_login_tokens(tx, "robot:ci");
  catalog::delete_robot(tx, "ci");
  catalog::UserRow user;
  user.name = "ann";
  user.password = "$y$";
  user.id = catalog::insert_user(tx, user);
  catalog::find_user(tx, "ann");
  catalog::list_users(tx, "", 9);
  catalog::count_users(tx);
  catalog::set_user_password(tx, user.id, "$y$", {2});
  catalog::set_user_disabled(tx, user.id, Timestamp{3});
  catalog::begin_user_generation(tx, user.id);
  catalog::add_user_to_group(tx, user.id, "dev");
  catalog::groups_of_user(tx, user.id);
  catalog::remove_user_from_group(tx, user.id, "dev");
  catalog::delete_user(tx, user.id);
  catalog::insert_blob(tx, digest, 1, {1});
  catalog::link_blob(tx, repository, digest, {1});
  catalog::find_blob(tx, digest);
  catalog::find_blob_in(tx, name, digest);
  catalog::repository_has_blob(tx, repository, digest);
  catalog::manifest_needing_blob(tx, repository, digest);
  catalog::repositories_with_blob(tx, digest, 9);
  catalog::find_usage(tx, repository);
  catalog::list_usage(tx, "", catalog::Begin::after, 9);
  catalog::list_usage(tx, "prod/app", catalog::Begin::at, 9);
  const auto other = catalog::ensure_repository(tx, parsed<RepositoryName>("b"), {1});
  catalog::link_blob(tx, other, digest, {1});
  catalog::has_history_beyond(tx, other, 9);
  catalog::forget_tag_history(tx, other, 9);
  catalog::delete_repository(tx, other);
  catalog::uncount_trash(tx, 1);
  catalog::unlink_blob(tx, repository, digest);
  const UploadId upload = UploadId::random();
  catalog::insert_upload(tx, {upload, "prod/app", "alice", 0, "", {1}, {1}});
  catalog::update_upload(tx, upload, 1, "", {1});
  catalog::find_upload(tx, upload);
  catalog::list_uploads(tx, {9}, 9);
  catalog::delete_upload(tx, upload);
  catalog::queue_review(tx, repository, digest, {1});
  const auto review = catalog::due_reviews(tx, {1}, 9).at(0);
  catalog::count_reviews(tx, {9}, 9);
  catalog::next_review(tx);
  catalog::review_stands(tx, review);
  catalog::postpone_review(tx, review, {2});
  catalog::repository_name(tx, repository);
  catalog::find_link(tx, repository, review.blob);
  catalog::any_link(tx, review.blob);
  catalog::blob_state(tx, review.blob);
  catalog::begin_blob_removal(tx, review.blob);
  catalog::end_review(tx, review);
  catalog::put_in_quarantine(tx, digest, {1}, "missing");
  catalog::list_quarantine(tx, "", 9);
  catalog::end_quarantine(tx, digest, 1);
  catalog::blobs_after(tx, "", 9);
  catalog::remove_blob(tx, digest);
  catalog::tags_to_check(tx, {}, 9);
  catalog::manifests_to_check(tx, {}, 9);
  catalog::trash_to_check(tx, {}, 9);
  catalog::links_to_check(tx, {}, 9);
  catalog::blobs_to_check(tx, {}, 9);
  catalog::references_of(tx, manifest);
  catalog::entries_of(tx, manifest);
  catalog::add_reference(tx, repository, manifest, {"layer", digest.str()});
  for (const catalog::Belonging& belonging : catalog::belongings()) {
    catalog::owners_to_check(tx, belonging, {}, 9);
    if (belonging.removable) catalog::remove_ownerless(tx, belonging, 1'000'000);
  }
  catalog::put_meta(tx, "key", "value");
  catalog::newest_event(tx);
  catalog::find_meta(tx, "key");
  catalog::delete_meta(tx, "key");
  catalog::store_scrub_progress(tx, {});
  catalog::find_scrub_progress(tx);
  const auto cluster = parsed<ClusterName>("prod");
  catalog::put_in_use_report(tx, {cluster, {1}, actor, 60, 1, 1, 1});
  catalog::find_in_use_report(tx, cluster);
  catalog::list_in_use_reports(tx, "", 9);
  catalog::add_in_use(tx, cluster, name, digest, {1});
  catalog::list_in_use(tx, cluster, "", "", 9);
  catalog::list_in_use_keys(tx, cluster);
  catalog::put_in_use_unknown(tx, cluster, {"nobody:1"});
  catalog::list_in_use_unknown(tx, cluster);
  catalog::clusters_using(tx, name, digest);
  catalog::digests_in_use(tx, name, "", 9);
  catalog::has_manifest(tx, repository, digest);
  catalog::repositories_with_manifest(tx, digest, 9);
  catalog::manifests_configured_by(tx, digest, 9);
  catalog::manifests_configured_by(tx, repository, digest, 9);
  catalog::remove_in_use(tx, cluster, name, digest);
  catalog::remove_in_use_report(tx, cluster);
  catalog::record_departure(tx, name, digest, 1, std::nullopt);
  catalog::list_departures(tx, name, digest, 9);
  catalog::repository_departure(tx, name, {0, std::nullopt, {1}, actor, {}, {}, {}, {}});
  catalog::list_tag_removals(tx, name, tag, 9);
  (void)catalog::last_name_release(tx, name, tag);
  catalog::delete_tag(tx, repository, tag);
  catalog::note_push(tx, repository, tag, manifest, {2});
  catalog::note_untagged(tx, manifest, {1});
  catalog::untagged_since(tx, manifest);
  const std::vector<catalog::TrashedTag> trashed{{tag, {1}, actor}};
  catalog::put_in_trash(tx, {7, repository, digest, std::nullopt, trashed, {1}, {2}, "r", "old"});
  const auto returning = catalog::put_in_trash(tx, {7,
                                                    repository,
                                                    digest_of(bytes + "  "),
                                                    insert(tx, repository, bytes + "  "),
                                                    trashed,
                                                    {1},
                                                    {2},
                                                    "r",
                                                    "old"});
  const auto returned = bytes + "  ";
  const auto pushed_again = catalog::insert_pushed(
      tx, repository,
      {Manifest::parse(media_type::oci_manifest, returned).value(), digest_of(returned), returned}, {3},
      actor);
  CHECK_FALSE(catalog::find_trash(tx, returning).value().media_type.has_value());
  catalog::delete_manifest(tx, pushed_again, {1});
  const auto in_trash = catalog::put_in_trash(
      tx, {7, repository, digest, insert(tx, repository, bytes + " "), {}, {1}, {2}, "r", "old"});
  REQUIRE(fine(catalog::trash_bytes(tx, catalog::find_trash(tx, in_trash).value())));
  catalog::trash_tags(tx, in_trash);
  catalog::list_trash(tx, {std::nullopt, std::nullopt}, 0, 9);
  catalog::list_trash(tx, {repository, std::nullopt}, 0, 9);
  catalog::list_trash(tx, {std::nullopt, 7}, 0, 9);
  catalog::list_trash(tx, {repository, 7}, 0, 9);
  catalog::due_trash(tx, {1}, 9);
  catalog::trash_size(tx, 9);
  catalog::trash_needing_blob(tx, repository, digest);
  catalog::newest_trashed_manifest(tx, repository, digest);
  catalog::trashed_referrers(tx, repository, digest_of("subject"), 9);
  catalog::newest_trash_of_tag(tx, repository, tag);
  catalog::trashed_above(tx, repository, digest, 9);
  catalog::postpone_erasing(tx, in_trash, {3});
  for (const auto& item : catalog::list_trash(tx, {repository, std::nullopt}, 0, 9))
    catalog::erase_trash(tx, item.id, {1});
  catalog::delete_manifest(tx, manifest, {1});
}

// What goes through a whole repository, or all runs, by its purpose.
void call_what_visits_all(Tx& tx) {
  const auto repository = catalog::ensure_repository(tx, parsed<RepositoryName>("prod/app"), {1});
  catalog::visit_manifests(tx, repository, [](const auto&) {});
  catalog::visit_references(tx, repository, [](const auto&) {});
  catalog::visit_tags(tx, repository, [](const auto&) {});
  catalog::visit_links(tx, repository, [](const auto&) {});
  catalog::visit_pulls(tx, repository, [](catalog::ManifestId, std::optional<Timestamp>) {});
  catalog::store_usage(tx, repository, catalog::recount_usage(tx, repository));
  catalog::delete_repository(tx, repository);
}

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
