#include "tests/unit/storage/catalog_calls.hpp"

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

namespace stele::catalog_calls {
namespace {

using namespace sql_test;
using catalog::Tx;

// What the calls are about: an image in a repository, under a tag.
struct Subject {
  explicit Subject(Tx& tx)
      : repository(catalog::ensure_repository(tx, name, {1})), manifest(insert(tx, repository, bytes)) {}
  const RepositoryName name = parsed<RepositoryName>("prod/app");
  const Tag tag = parsed<Tag>("v1");
  const std::string bytes = image("one", digest_of("subject"));
  const Digest digest = digest_of(bytes);
  const std::string actor = "alice";
  const catalog::RepositoryId repository;
  const catalog::ManifestId manifest;
};

void call_manifests_and_tags(Tx& tx, const Subject& subject) {
  const auto& name = subject.name;
  const auto& tag = subject.tag;
  const auto& digest = subject.digest;
  const auto& actor = subject.actor;
  const auto& repository = subject.repository;
  const auto& manifest = subject.manifest;
  catalog::find_repository(tx, name);
  catalog::list_repositories(tx, "", 9);
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
  catalog::append_tag_history(tx, repository, {tag, now, now, {1}, actor, 1});
  catalog::list_tag_history(tx, repository, tag, 9, 9);
  catalog::tag_history_at(tx, repository, tag, {1});
  catalog::tag_history_at(tx, repository, tag, {0});
  catalog::list_bindings_since(tx, {1}, 0, 9);
  catalog::list_bindings_since(tx, {1'000'000}, 0, 9);
  catalog::tag_ever_had(tx, repository, tag, digest);
  REQUIRE(fine(catalog::list_tag_bindings(tx, repository, name, "", 9)));
}

void call_policies_and_locks(Tx& tx, const Subject& subject) {
  const auto& name = subject.name;
  const auto& tag = subject.tag;
  const auto& digest = subject.digest;
  const auto& actor = subject.actor;
  const auto& repository = subject.repository;
  const auto& manifest = subject.manifest;
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
}

void call_pulls_and_lifecycle(Tx& tx, const Subject& subject) {
  const auto& digest = subject.digest;
  const auto& repository = subject.repository;
  const auto& manifest = subject.manifest;
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
}

void call_mirrors_and_logins(Tx& tx, const Subject& subject) {
  const auto& name = subject.name;
  const auto& tag = subject.tag;
  const auto& digest = subject.digest;
  const auto& actor = subject.actor;
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
}

void call_blobs(Tx& tx, const Subject& subject) {
  const auto& name = subject.name;
  const auto& digest = subject.digest;
  const auto& repository = subject.repository;
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
}

void call_reviews_and_checks(Tx& tx, const Subject& subject) {
  const auto& digest = subject.digest;
  const auto& repository = subject.repository;
  const auto& manifest = subject.manifest;
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
}

void call_meta_and_clusters(Tx& tx, const Subject& subject) {
  const auto& name = subject.name;
  const auto& tag = subject.tag;
  const auto& digest = subject.digest;
  const auto& actor = subject.actor;
  const auto& repository = subject.repository;
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
}

void call_trash(Tx& tx, const Subject& subject) {
  const auto& tag = subject.tag;
  const auto& bytes = subject.bytes;
  const auto& digest = subject.digest;
  const auto& actor = subject.actor;
  const auto& repository = subject.repository;
  const auto& manifest = subject.manifest;
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

}  // namespace

void call_everything(catalog::Tx& tx) {
  const Subject subject(tx);
  call_manifests_and_tags(tx, subject);
  call_policies_and_locks(tx, subject);
  call_pulls_and_lifecycle(tx, subject);
  call_mirrors_and_logins(tx, subject);
  call_blobs(tx, subject);
  call_reviews_and_checks(tx, subject);
  call_meta_and_clusters(tx, subject);
  call_trash(tx, subject);
}

void call_what_visits_all(catalog::Tx& tx) {
  const auto repository = catalog::ensure_repository(tx, parsed<RepositoryName>("prod/app"), {1});
  catalog::visit_manifests(tx, repository, [](const auto&) {});
  catalog::visit_references(tx, repository, [](const auto&) {});
  catalog::visit_tags(tx, repository, [](const auto&) {});
  catalog::visit_links(tx, repository, [](const auto&) {});
  catalog::visit_pulls(tx, repository, [](catalog::ManifestId, std::optional<Timestamp>) {});
  catalog::store_usage(tx, repository, catalog::recount_usage(tx, repository));
  catalog::delete_repository(tx, repository);
}

}  // namespace stele::catalog_calls
