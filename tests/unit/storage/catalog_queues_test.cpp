// The catalog's queries about what waits: uploads and reviews.

#include <limits>

#include "storage/catalog/collection.hpp"
#include "tests/unit/storage/one_repository.hpp"

namespace stele::catalog_queues_test {
namespace {

using namespace sql_test;
using catalog::Session;
using catalog::Tx;
using Fixture = OneRepository;

constexpr std::int64_t no_limit = std::numeric_limits<std::int64_t>::max();

TEST_CASE("catalog: upload sessions", "[catalog]") {
  Fixture fixture;
  const UploadId id = UploadId::random();
  const std::string state("\0state\xff", 7);
  fixture.write([&](Tx& tx) {
    catalog::insert_upload(tx, {id, "prod/app", "alice", 0, "", {10}, {10}});
    catalog::update_upload(tx, id, std::uint64_t{1} << 41, state, {20});
    for (int i = 0; i < 5; ++i)
      catalog::insert_upload(tx, {UploadId::random(), "prod/app", "bob", 0, "", {11}, {30 + i}});
  });
  fixture.read([&](Session& session) {
    const auto found = catalog::find_upload(session, id);
    REQUIRE(found.has_value());
    CHECK(found->id == id);
    CHECK(found->repository == "prod/app");
    CHECK(found->actor == "alice");
    CHECK(found->offset == std::uint64_t{1} << 41);
    CHECK(found->hash_state == state);
    CHECK(found->started_at == Timestamp{10});
    CHECK(found->updated_at == Timestamp{20});
    CHECK_FALSE(catalog::find_upload(session, UploadId::random()).has_value());
    CHECK(catalog::list_uploads(session, {20}, no_limit).empty());
    REQUIRE(catalog::list_uploads(session, {21}, no_limit).size() == 1);
    CHECK(catalog::list_uploads(session, {21}, no_limit)[0].id == id);
    CHECK(catalog::list_uploads(session, {1000}, no_limit).size() == 6);
    CHECK(catalog::list_uploads(session, {1000}, 2).size() == 2);
    CHECK(catalog::list_uploads(session, {1000}, -5).empty());
    return 0;
  });
  fixture.write([&](Tx& tx) { catalog::delete_upload(tx, id); });
  CHECK_FALSE(fixture.read([&](Session& session) { return catalog::find_upload(session, id); }).has_value());
}

TEST_CASE("catalog: a review that is queued again waits for the later time", "[catalog]") {
  Fixture fixture;
  fixture.write([&](Tx& tx) {
    catalog::insert_blob(tx, digest_of("a"), 7, {1});
    catalog::queue_review(tx, fixture.repository, digest_of("a"), {100});
    catalog::queue_review(tx, fixture.repository, digest_of("a"), {300});
    catalog::queue_review(tx, fixture.repository, digest_of("a"), {200});
    catalog::queue_review(tx, std::nullopt, digest_of("a"), {50});
    catalog::queue_review(tx, std::nullopt, digest_of("nobody's"), {50});
    CHECK(catalog::due_reviews(tx, {49}, no_limit).empty());
    CHECK(catalog::next_review(tx) == Timestamp{50});
    const auto due = catalog::due_reviews(tx, {300}, no_limit);
    REQUIRE(due.size() == 2);
    CHECK_FALSE(due[0].repository.has_value());
    CHECK(due[0].digest == digest_of("a"));
    CHECK(due[0].size == 7);
    CHECK(due[1].repository == fixture.repository);
    CHECK(due[1].review_after == Timestamp{300});
    CHECK(catalog::due_reviews(tx, {300}, 1).size() == 1);
    CHECK(catalog::count_reviews(tx, {299}, no_limit) == 1);
    CHECK(catalog::count_reviews(tx, {300}, 1) == 1);
    catalog::postpone_review(tx, due[0], {400});
    CHECK_FALSE(catalog::review_stands(tx, due[0]));
    CHECK(catalog::review_stands(tx, due[1]));
    catalog::end_review(tx, due[1]);
    CHECK(catalog::count_reviews(tx, {400}, no_limit) == 1);
    catalog::remove_blob(tx, digest_of("a"));
    CHECK_FALSE(catalog::next_review(tx).has_value());
  });
}

TEST_CASE("catalog: a manifest that goes queues its repository's links to what it named", "[catalog]") {
  Fixture fixture;
  fixture.write([&](Tx& tx) {
    const std::string bytes = image("one");
    const Digest layer = digest_of("layer one");
    catalog::insert_blob(tx, layer, 9, {1});
    catalog::link_blob(tx, fixture.repository, layer, {1});
    catalog::delete_manifest(tx, insert(tx, fixture.repository, bytes), {70});
    const auto due = catalog::due_reviews(tx, {70}, no_limit);
    REQUIRE(due.size() == 1);  // what the registry does not hold is no garbage of ours
    CHECK(due[0].digest == layer);
    CHECK(due[0].repository == fixture.repository);
    CHECK(catalog::find_link(tx, fixture.repository, due[0].blob)->linked_at == Timestamp{1});
    CHECK(catalog::any_link(tx, due[0].blob));
    CHECK(catalog::repository_name(tx, fixture.repository) == fixture.name.str());
    catalog::unlink_blob(tx, fixture.repository, layer);
    catalog::begin_blob_removal(tx, due[0].blob);
    CHECK(catalog::blob_state(tx, due[0].blob) == catalog::BlobState::deleting);
    CHECK_FALSE(catalog::find_link(tx, fixture.repository, due[0].blob).has_value());
  });
}

}  // namespace
}  // namespace stele::catalog_queues_test
