// Whole repositories that are too large for one write (A29).

#include "registry/repositories.hpp"

#include <set>

#include "storage/catalog/protection.hpp"
#include "tests/support/writes_beside.hpp"
#include "tests/unit/registry/moves_fixture.hpp"

namespace stele {
namespace {

using namespace rules_test;

constexpr int tags = 1500, images = 700;

class Large : public Moves {
 public:
  // `tags` names on the last of `images` manifests, and an index over the first three.
  Large() {
    use("tag_rules: [{name: f, tags: [\"f*\"], mutability: forward-only, delete: allow}, {name: i, tags: "
        "[zz], "
        "mutability: immutable}]\n");
    const std::string tagged = labelled("1.4.2");
    REQUIRE(push(tagged, {}).empty());
    std::vector<std::string> listed;
    for (int i = 0; i < 3; ++i) {
      listed.push_back(image({"l1"}, std::to_string(i)));
      REQUIRE(push(listed.back(), {}).empty());
    }
    REQUIRE(push(index_of(listed), {"index"}, "a", media_type::oci_index).empty());
    auto filling = writer->write({}, [&](sql::Tx& tx) -> Result<void> {
      const auto id = catalog::find_repository(tx, name("a")).value();
      for (int i = 3; i < images - 2; ++i) {
        const std::string bytes = image({"l1"}, std::to_string(i));
        const auto manifest = Manifest::parse(media_type::oci_manifest, bytes).value();
        catalog::insert_manifest(tx, id, catalog::NewManifest{manifest, digest_of(bytes), bytes}, clock.now(),
                                 "tester");
      }
      const auto bound = catalog::find_manifest(tx, id, digest_of(tagged)).value().id;
      for (int i = 0; i < tags - 1; ++i) {
        const Tag named = tag((i % 2 == 0 ? "f" : "m") + std::to_string(i));
        catalog::set_tag(tx, id, name("a"), {named, bound, digest_of(tagged), clock.now(), "tester"});
      }
      return {};
    });
    REQUIRE(sync_wait([&]() -> Task<Result<void>> { co_return co_await filling; }()).has_value());
    REQUIRE(count("manifests") == images);
    REQUIRE(count("tags") == tags);
  }
  static std::int64_t rows(sql::Session& session, const std::string& of) {
    auto found = session.query("SELECT count(*) FROM " + of);
    found.next();
    return found.integer(0);
  }
};

TEST_CASE(
    "repositories: a large one goes in steps, others write between them, and each step is whole (A29, I2, "
    "I4)") {
  Large registry;
  std::set<std::int64_t> left;  // rows, as others found them when it was their turn
  std::int64_t lacking = 0;
  std::optional<RemovedRepository> removed;
  {
    const WritesBeside beside(*registry.writer, [&](sql::Tx& tx) {
      left.insert(Large::rows(tx, "tags") + Large::rows(tx, "manifests"));
      lacking += Large::rows(tx,
                             "manifest_references f WHERE f.kind = 'entry' AND NOT EXISTS (SELECT 1 FROM "
                             "manifests m WHERE m.digest = f.digest)");
    });
    const auto done = sync_wait(Repositories(registry.context()).remove(name("a"), registry.actor));
    REQUIRE(done.has_value());
    removed = *done;
  }
  CHECK(left.size() >= (tags + images) / 100);
  CHECK(lacking == 0);
  CHECK(removed->tags == tags);
  CHECK(removed->manifests == images);
  CHECK(removed->blobs == 1);
  for (const char* of :
       {"repositories", "tags", "manifests", "manifest_references", "tag_history", "repository_usage"}) {
    CAPTURE(of);
    CHECK(registry.count(of) == 0);
  }
  CHECK(registry.count("events WHERE action = 'tag.delete'") == tags);
  CHECK(registry.count("events WHERE action = 'manifest.delete'") == images);
  CHECK(registry.count("events WHERE action = 'repository.delete'") == 1);
  CHECK(registry.count("removed_names WHERE mutability = 'forward-only' AND version = '1.4.2'") == tags / 2);
}

TEST_CASE(
    "repositories: of a large one nothing goes when the rule of one tag keeps it, and that has one record "
    "(A29, I4)") {
  Large registry;
  REQUIRE(registry.push(one, {"zz"}).empty());
  CHECK(registry.remove_repository("a") == "TAG_DELETE_DENIED");
  CHECK(registry.count("tags") == tags + 1);
  CHECK(registry.count("events WHERE action = 'tag.delete'") == 0);
  CHECK(registry.count("events WHERE action = 'tag.refused' AND tag = 'zz'") == 1);
}

TEST_CASE(
    "repositories: what protects a large one meanwhile stops the rest, and asking again goes on (A29, I5)") {
  Large registry;
  std::int64_t hold = 0;
  {
    const WritesBeside beside(*registry.writer, [&](sql::Tx& tx) {
      if (hold != 0 || Large::rows(tx, "tags") == tags) return;
      catalog::HoldRow row{0,         "trial",      "2026/77",    "subpoena",
                           name("a"), std::nullopt, std::nullopt, registry.clock.now(),
                           "tester",  std::nullopt, {},           {}};
      hold = catalog::insert_hold(tx, row);
    });
    CHECK(registry.remove_repository("a") == "HELD");
  }
  REQUIRE(hold != 0);
  const auto left = registry.count("tags");
  CHECK(left > 0);
  CHECK(left < tags);
  CHECK(registry.count("manifests") == images);
  CHECK(registry.count("events WHERE action = 'repository.refused'") == 1);
  CHECK(registry.remove_repository("a") == "HELD");
  CHECK(registry.count("tags") == left);
  auto releasing = registry.writer->write({}, [&](sql::Tx& tx) -> Result<void> {
    catalog::release_hold(tx, hold, registry.clock.now(), "tester", "settled");
    return {};
  });
  REQUIRE(sync_wait([&]() -> Task<Result<void>> { co_return co_await releasing; }()).has_value());
  CHECK(registry.remove_repository("a").empty());
  CHECK(registry.count("repositories") == 0);
}

TEST_CASE("repositories: a digest with more than 2000 tags is not deleted with all of them at once (A29)") {
  Large registry;
  const Digest digest = digest_of(registry.labelled("1.4.2"));
  auto adding = registry.writer->write({}, [&](sql::Tx& tx) -> Result<void> {
    const auto id = catalog::find_repository(tx, name("a")).value();
    const auto bound = catalog::find_manifest(tx, id, digest).value().id;
    for (int i = 0; i < 600; ++i)
      catalog::set_tag(tx, id, name("a"),
                       {tag("more" + std::to_string(i)), bound, digest, registry.clock.now(), "tester"});
    return {};
  });
  REQUIRE(sync_wait([&]() -> Task<Result<void>> { co_return co_await adding; }()).has_value());
  CHECK(registry.remove(digest.str()) == "parameter_invalid");
  CHECK(registry.last_message.find("has more than 2000 tags") != std::string::npos);
  for (int i = 0; i < 99; ++i) REQUIRE(registry.remove("more" + std::to_string(i)).empty());
  CHECK(registry.remove(digest.str()).empty());
}

}  // namespace
}  // namespace stele
