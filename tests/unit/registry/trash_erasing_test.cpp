// What leaves the trash for good, what may not (I5), and what must know of it.

#include "registry/in_use.hpp"
#include "registry/repositories.hpp"
#include "registry/retention.hpp"
#include "registry/trash.hpp"
#include "tests/unit/registry/trash_fixture.hpp"

namespace stele {
namespace {

using namespace rules_test;

TEST_CASE("trash: what a lock, a hold or a cluster reaches is not erased (I5)") {
  const std::string child = image({"l1"});
  TrashFixture registry;
  registry.push({"l1"}, {});
  const Digest index = registry.push_index({child}, {"pr-1"});
  const Digest referrer = registry.push({"r1"}, {}, "a", index.str());
  const InUse in_use(registry.context());
  const auto report = [&](const std::vector<std::string>& images) {
    REQUIRE(sync_wait(in_use.report(NewInUseReport{
                          ClusterName::parse("prod").value(), images, 3600, true, {}, false, registry.actor}))
                .has_value());
  };
  std::string protection = GENERATE("IN_USE", "HELD", "LOCKED");
  INFO(protection);
  std::int64_t hold = 0;
  if (protection == "IN_USE") report({"registry.example/a@" + index.str()});
  // Lifecycle asks before it removes; what is protected afterwards is in the trash all the same.
  const std::int64_t index_id = registry.throw_away(index);
  std::int64_t child_id = registry.throw_away(digest_of(child));
  const std::int64_t referrer_id = registry.throw_away(referrer);
  if (protection == "HELD") {
    const auto set = sync_wait(
        Retention(registry.context()).set_hold({"trial", "1", "", name("a"), std::nullopt, registry.actor}));
    REQUIRE(set.has_value());
    hold = set->id;
  }
  if (protection == "LOCKED") {
    registry.use(
        "tag_rules: [{name: k, tags: [keep], mutability: mutable, lock: {for: 20d, mode: compliance}}]\n");
    registry.push({"l1"}, {});
    registry.push_index({child}, {"keep"});
    registry.use("tag_rules: []\n");
    // As if the lock had been stamped and the image had come into the trash all the same.
    child_id = registry.throw_away(digest_of(child), 8);
    const auto bound = registry.points_to("keep");
    REQUIRE(bound == index);
  }
  if (protection == "LOCKED") {
    // The index lives: its own item may go; its child, that it needs, may not.
    CHECK(registry.erase(child_id) == "LOCKED");
    CHECK(registry.erase(referrer_id) == "LOCKED");
    CHECK(registry.erase(index_id).empty());
    return;
  }
  for (const std::int64_t id : {index_id, child_id, referrer_id}) CHECK(registry.erase(id) == protection);
  CHECK(registry.count("events WHERE action = 'trash.refused' AND reason = '" + protection + "'") == 3);
  const Trash trash(registry.context());
  const auto run = sync_wait(trash.erase_run(7, registry.actor));
  REQUIRE(run.has_value());
  CHECK(run->items == 0);
  CHECK(run->refused == 3);
  CHECK(run->refusals.at(0).reason == protection);
  registry.pass(15 * TrashFixture::day);
  const ErasedDue due = registry.erase_due();
  CHECK(due.items == 0);
  CHECK(due.postponed == 3);
  CHECK(registry.erase_due().postponed == 0);  // another day
  if (protection == "IN_USE") report({});
  if (hold > 0) {
    REQUIRE(sync_wait(Retention(registry.context()).release_hold(hold, "over", registry.actor)).has_value());
  }
  registry.pass(TrashFixture::day);
  CHECK(registry.erase_due().items == 3);
  CHECK(registry.count("events WHERE action = 'trash.erase' AND actor = 'system'") == 3);
}

TEST_CASE("trash: erased when its time is over, and not because a clock jumps") {
  TrashFixture registry;
  registry.throw_away(registry.push({"l1"}, {"pr-1"}));
  registry.pass(TrashFixture::day);
  registry.throw_away(registry.push({"l2"}, {"pr-2"}));
  registry.pass(13 * TrashFixture::day - 1);
  CHECK(registry.erase_due().items == 0);
  registry.clock.advance(365 * TrashFixture::day);  // somebody sets the machine's clock
  CHECK(registry.erase_due().items == 0);
  registry.clock.advance(-365 * TrashFixture::day);
  registry.pass(1);
  CHECK(registry.erase_due().items == 1);
  CHECK(registry.count("trash") == 1);
  registry.pass(TrashFixture::day);
  CHECK(registry.erase_due().items == 1);
  CHECK(registry.erase_due().items == 0);
}

TEST_CASE("trash: erasing a repository's, and deleting the repository") {
  TrashFixture registry;
  registry.throw_away(registry.push({"l1"}, {"pr-1"}));
  registry.throw_away(registry.push({"l2"}, {"pr-2"}));
  registry.throw_away(registry.push({"l1"}, {"pr-1"}, "b"), 7, "b");
  registry.push({"l3"}, {"stays"});
  const Trash trash(registry.context());
  SECTION("erased") {
    const auto erased = sync_wait(trash.erase_repository(name("a"), registry.actor));
    REQUIRE(erased.has_value());
    CHECK(erased->items == 2);
    CHECK(registry.count("trash") == 1);
    CHECK(registry.collect_later() == 1);  // l2; b has l1 in its trash
    CHECK(registry.outcome(sync_wait(trash.erase_repository(name("c"), registry.actor))) == "name_unknown");
    CHECK(registry.outcome(sync_wait(trash.erase_run(99, registry.actor))) == "not_found");
    CHECK(registry.erase(99) == "not_found");
  }
  SECTION("deleted") {
    const auto removed = sync_wait(Repositories(registry.context()).remove(name("a"), registry.actor));
    REQUIRE(removed.has_value());
    CHECK(removed->trash == 2);
    CHECK(registry.count("trash") == 1);
    CHECK(registry.count("events WHERE action = 'trash.erase' AND repository = 'a'") == 2);
    CHECK(registry.collect_later() == 2);
    CHECK(registry.has_file(digest_of("l1")));
  }
  SECTION("not deleted while a hold is on it") {
    REQUIRE(
        sync_wait(
            Retention(registry.context()).set_hold({"h", "1", "", name("a"), std::nullopt, registry.actor}))
            .has_value());
    CHECK(registry.outcome(sync_wait(Repositories(registry.context()).remove(name("a"), registry.actor))) ==
          "HELD");
    CHECK(registry.count("trash") == 3);
  }
}

TEST_CASE("trash: a blob that it needs is not deleted") {
  TrashFixture registry;
  const Digest digest = registry.push({"l1"}, {"pr-1"});
  const std::int64_t id = registry.throw_away(digest);
  const auto remove = [&] {
    return registry.outcome(
        sync_wait(registry.registry->delete_blob(name("a"), digest_of("l1"), registry.actor)));
  };
  CHECK(remove() == "BLOB_IN_USE");
  CHECK(registry.last_message.find("in the trash of a; erase it from the trash first") != std::string::npos);
  REQUIRE(registry.erase(id).empty());
  CHECK(remove().empty());
}

}  // namespace
}  // namespace stele
