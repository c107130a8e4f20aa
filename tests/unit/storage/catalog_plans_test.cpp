// No query of the catalog looks at more rows than it answers with (I10): each one's plan, as SQLite tells it,
// searches an index and sorts nothing.

#include <iostream>
#include <set>

#include "storage/catalog/checks.hpp"
#include "storage/catalog/collection.hpp"
#include "storage/catalog/departures.hpp"
#include "storage/catalog/in_use.hpp"
#include "storage/catalog/meta.hpp"
#include "storage/catalog/protection.hpp"
#include "storage/catalog/pulls.hpp"
#include "storage/catalog/quarantine.hpp"
#include "storage/catalog/trash.hpp"
#include "storage/catalog/usage.hpp"
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
  catalog::manifest_origin(tx, manifest);
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
  catalog::raise_pulled_at(tx, manifest, {1});
  catalog::pulled_at(tx, manifest);
  catalog::visit_pulls(tx, repository, [](catalog::ManifestId, std::optional<Timestamp>) {});
  catalog::store_pull_record(tx, {"stamp", 1}, Timestamp{1});
  catalog::stored_pull_record(tx);
  catalog::stored_pulls_since(tx);
  catalog::list_referrers(tx, repository, digest, std::nullopt, 0, 9);
  catalog::list_referrers(tx, repository, digest, "application/x", 0, 9);
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
  catalog::store_usage(tx, repository, catalog::recount_usage(tx, repository));
  const auto other = catalog::ensure_repository(tx, parsed<RepositoryName>("b"), {1});
  catalog::link_blob(tx, other, digest, {1});
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
  catalog::add_reference(tx, repository, manifest, {"layer", digest.str()});
  for (const catalog::Belonging& belonging : catalog::belongings()) {
    catalog::owners_to_check(tx, belonging, {}, 9);
    if (belonging.removable) catalog::remove_ownerless(tx, belonging, 1'000'000);
  }
  catalog::put_meta(tx, "key", "value");
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
  catalog::delete_tag(tx, repository, tag);
  catalog::note_untagged(tx, manifest, {1});
  catalog::untagged_since(tx, manifest);
  const std::vector<catalog::TrashedTag> trashed{{tag, {1}, actor}};
  catalog::put_in_trash(tx, {7, repository, digest, std::nullopt, trashed, {1}, {2}, "r", "old"});
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
