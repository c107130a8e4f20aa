// The trash: what comes back from it and how (I2, I3, I4).

#include "registry/trash.hpp"

#include "gc/write_now.hpp"
#include "registry/in_use.hpp"
#include "registry/repositories.hpp"
#include "registry/retention.hpp"
#include "tests/support/faulty_vfs.hpp"
#include "tests/unit/registry/trash_fixture.hpp"

namespace stele::trash_test {
namespace {

using namespace rules_test;

const std::string one = image({"l1"}), two = image({"l2"}), three = image({"l3"});

std::string signature_tag(const Digest& digest, const std::string& suffix = ".sig") {
  return "sha256-" + digest.str().substr(7) + suffix;
}

std::vector<std::string> texts(const std::vector<Tag>& tags) {
  std::vector<std::string> all;
  for (const Tag& tag : tags) all.push_back(tag.str());
  std::sort(all.begin(), all.end());
  return all;
}

TEST_CASE("trash: a tagged image comes back as it was, its tags as new bindings (I4)") {
  TrashFixture registry;
  const Digest digest = registry.push({"l1", "l2"}, {"pr-1", "latest"});
  const auto manifest = registry.database->read([&](sql::Session& session) -> Result<catalog::ManifestId> {
    const auto repository = catalog::find_repository(session, name("a")).value();
    return catalog::find_manifest(session, repository, digest).value().id;
  });
  registry.pulls->record(manifest.value(), registry.clock.now());
  REQUIRE(registry.pulls->flush().has_value());
  const std::string before = registry.row_of(digest);
  registry.pass(3600);
  const std::int64_t id = registry.throw_away(digest);
  CHECK_FALSE(registry.has(digest));
  CHECK_FALSE(registry.points_to("pr-1").has_value());
  registry.restart();
  registry.pass(3600);

  const auto page = sync_wait(Trash(registry.context()).list({name("a"), std::nullopt, 0, 10}));
  REQUIRE(page.has_value());
  REQUIRE(page->items.size() == 1);
  CHECK(page->items[0].item.digest == digest);
  CHECK(page->items[0].item.run == 7);
  CHECK(page->items[0].item.rule == "ci");
  CHECK(page->items[0].tags.size() == 2);

  REQUIRE(registry.restore(id).empty());
  CHECK(registry.row_of(digest) == before);
  CHECK(registry.restored->manifests == std::vector<Digest>{digest});
  CHECK(texts(registry.restored->tags) == std::vector<std::string>{"latest", "pr-1"});
  CHECK(registry.points_to("pr-1") == digest);
  CHECK(registry.points_to("latest") == digest);
  CHECK(registry.count("trash") + registry.count("trash_tags") + registry.count("trash_references") == 0);
  CHECK(registry.count("untagged_manifests") == 0);
  const auto history = sync_wait(TagHistory(registry.context()).history(name("a"), tag("pr-1"), 0, 9));
  REQUIRE(history->entries.size() == 3);
  CHECK(history->entries[0].action == "tag.restore");
  CHECK(history->entries[0].current == digest);
  CHECK(history->entries[0].at == registry.clock.now());
  CHECK(history->entries[1].action == "tag.expire");
  CHECK(history->entries[2].action == "tag.set");
  CHECK(registry.count("events WHERE action = 'manifest.restore' AND rule = 'ci' AND new_digest = '" +
                       digest.str() + "'") == 1);
  CHECK(TagHistory(registry.context()).find(name("a"), tag("pr-1"))->pushed_at == registry.clock.now());
  CHECK(registry.restore(id) == "not_found");
  CHECK(registry.collect_later() == 0);  // I5
  CHECK(registry.files("blobs") == 3);
}

TEST_CASE("trash: an index brings its children, shared or not (I2)") {
  TrashFixture registry;
  registry.push({"l1"}, {});
  registry.push({"l2"}, {});
  registry.push({"l3"}, {"child"});
  const Digest a = registry.push_index({one, two, three}, {"a"});
  const Digest b = registry.push_index({two, three}, {"b"});
  const Digest nested = registry.push_index({index_of({one, two, three}), three}, {"nested"});
  const std::string before_two = registry.row_of(digest_of(two));
  const std::int64_t nested_id = registry.throw_away(nested);
  const std::int64_t a_id = registry.throw_away(a);
  registry.throw_away(digest_of(one));

  SECTION("a child that another index keeps alive is left as it is") {
    REQUIRE(registry.restore(a_id).empty());
    CHECK(registry.restored->manifests.size() == 2);
    CHECK(registry.row_of(digest_of(two)) == before_two);
    CHECK(registry.points_to("a") == a);
    CHECK(registry.has(digest_of(one)));
    CHECK(registry.count("trash") == 1);
    CHECK(registry.restore(nested_id).empty());
  }
  SECTION("a child that both of them need comes back once, and stays for the second") {
    const std::int64_t b_id = registry.throw_away(b);
    registry.throw_away(digest_of(two));
    REQUIRE(registry.restore(b_id).empty());
    CHECK(registry.restored->manifests.size() == 2);
    CHECK(registry.row_of(digest_of(two)) == before_two);
    CHECK_FALSE(registry.has(a));
    CHECK_FALSE(registry.has(digest_of(one)));
    REQUIRE(registry.restore(a_id).empty());
    CHECK(registry.restored->manifests.size() == 2);
    CHECK(registry.has(digest_of(one)));
  }
  SECTION("an index in an index") {
    REQUIRE(registry.restore(nested_id).empty());
    CHECK(registry.restored->manifests.size() == 3);
    CHECK(registry.points_to("nested") == nested);
    CHECK(registry.points_to("a") == a);  // it came, and its name with it
    CHECK(registry.count("trash") == 0);
  }
  SECTION("a child that somebody deleted meanwhile is missed") {
    registry.throw_away(b);
    REQUIRE(
        sync_wait(registry.registry->delete_manifest(name("a"), digest_of(two), registry.actor)).has_value());
    CHECK(registry.restore(a_id) == "CONTENT_MISSING");
    CHECK(registry.last_message.find(digest_of(two).str()) != std::string::npos);
    CHECK_FALSE(registry.has(a));
    CHECK_FALSE(registry.has(digest_of(one)));  // all or nothing
    CHECK(registry.count("trash") == 4);
    CHECK(registry.count("events WHERE action = 'trash.refused' AND reason = 'CONTENT_MISSING'") == 1);
    registry.push({"l2"}, {});
    CHECK(registry.restore(a_id).empty());
  }
}

TEST_CASE("trash: signatures come back with what they sign: by cosign's tag, and as referrers") {
  TrashFixture registry;
  const Digest digest = registry.push({"l1"}, {"pr-1"});
  const Digest signature = registry.push({"s1"}, {signature_tag(digest)});
  const Digest attested = registry.push({"s2"}, {signature_tag(digest, ".att")});
  const Digest referrer = registry.push({"r1"}, {}, "a", digest.str());
  const Digest its_referrer = registry.push({"r2"}, {}, "a", referrer.str());
  const Digest other = registry.push({"o1"}, {"other"});
  const std::int64_t id = registry.throw_away(digest);
  for (const Digest& follower : {signature, referrer, its_referrer, other}) registry.throw_away(follower);
  const std::int64_t only_tag = registry.throw_away_tag(signature_tag(digest, ".att"));
  REQUIRE(only_tag > 0);
  registry.pass(60);

  REQUIRE(registry.restore(id).empty());
  CHECK(registry.restored->manifests.size() == 4);
  CHECK(registry.points_to(signature_tag(digest)) == signature);
  CHECK(registry.points_to(signature_tag(digest, ".att")) == attested);
  CHECK(registry.has(referrer));
  CHECK(registry.has(its_referrer));
  CHECK_FALSE(registry.has(other));
  CHECK(registry.count("trash") == 1);
  const auto listed = sync_wait(registry.registry->referrers(name("a"), digest, std::nullopt, 0));
  REQUIRE(listed.has_value());
  CHECK(listed->descriptors.size() == 1);
  // Untagged since now: the next run does not remove them again at once.
  CHECK(registry.count("untagged_manifests WHERE since = " +
                       std::to_string(registry.clock.now().microseconds)) == 2);
}

TEST_CASE("trash: a signature that was made anew since is left alone") {
  TrashFixture registry;
  const Digest digest = registry.push({"l1"}, {"pr-1"});
  registry.throw_away(registry.push({"s1"}, {signature_tag(digest)}));
  const std::int64_t id = registry.throw_away(digest);
  registry.push({"l1"}, {});
  const Digest anew = registry.push({"s1", "s2"}, {signature_tag(digest)});
  REQUIRE(registry.restore(id).empty());
  CHECK(registry.points_to(signature_tag(digest)) == anew);
  CHECK(registry.count("trash") == 1);
}

TEST_CASE("trash: restore over a name bound anew: never (I3)") {
  TrashFixture registry;
  const Digest digest = registry.push({"l1"}, {"pr-1", "pr-2"});
  const std::int64_t id = registry.throw_away(digest);
  const Digest anew = registry.push({"l2"}, {"pr-1"});
  const auto events = registry.count("events");
  CHECK(registry.restore(id) == "TAG_TAKEN");
  CHECK(registry.last_message.find("tag pr-1 in a points to " + anew.str() + " by now") == 0);
  CHECK(registry.last_message.find("--skip-taken") != std::string::npos);
  CHECK_FALSE(registry.has(digest));
  CHECK_FALSE(registry.points_to("pr-2").has_value());
  CHECK(registry.count("trash_tags") == 2);
  CHECK(registry.count("events") == events + 1);
  CHECK(registry.count("events WHERE action = 'trash.refused' AND tag = 'pr-1' AND reason = 'TAG_TAKEN'") ==
        1);

  REQUIRE(registry.restore(id, true).empty());
  CHECK(registry.points_to("pr-1") == anew);
  CHECK(registry.points_to("pr-2") == digest);
  CHECK(texts(registry.restored->skipped) == std::vector<std::string>{"pr-1"});
}

TEST_CASE("trash: names under rules come back as they were bound, and no other way (I3)") {
  TrashFixture registry;
  registry.use(
      "tag_rules:\n"
      "  - {name: i, tags: [\"sha-*\"], mutability: immutable, lifecycle: allow, delete: allow}\n"
      "  - {name: f, tags: [forward], mutability: forward-only}\n"
      "  - {name: l, tags: [log], mutability: append-only, lifecycle: allow, delete: allow}\n");
  const Digest digest = registry.push({"l1"}, {"sha-1", "forward", "log", "free"}, "a", "", "1.0.0");
  const std::int64_t id = registry.throw_away(digest);
  const std::string other = image({"l2"}, "0.9.0");
  registry.push_blob("a", "l2");
  CHECK_FALSE(registry.try_push(other, {"sha-1"}).has_value());  // bound while in the trash

  SECTION("the same digest is what the names hold") {
    REQUIRE(registry.restore(id).empty());
    for (const char* text : {"sha-1", "forward", "log", "free"}) CHECK(registry.points_to(text) == digest);
    CHECK(registry.count("removed_names") == 0);
    CHECK_FALSE(registry.try_push(other, {"sha-1"}).has_value());
  }
  SECTION("a name that a stricter rule bound to another digest since, though its tag is gone") {
    registry.push_bytes(other, {"free"});
    registry.use("tag_rules: [{name: s, tags: [free], mutability: immutable, delete: allow}]\n");
    REQUIRE(
        sync_wait(registry.registry->delete_manifest(name("a"), tag("free"), registry.actor)).has_value());
    CHECK(registry.restore(id) == "TAG_IMMUTABLE");
    CHECK_FALSE(registry.has(digest));
    REQUIRE(registry.restore(id, true).empty());
    CHECK_FALSE(registry.points_to("free").has_value());
    CHECK(registry.points_to("forward") == digest);
  }
}

TEST_CASE("trash: a manifest that was pushed again is not inserted twice, and gets its names back") {
  TrashFixture registry;
  const Digest digest = registry.push({"l1"}, {"pr-1"});
  const std::int64_t id = registry.throw_away(digest);
  registry.pass(60);
  registry.push({"l1"}, {"again"});
  const std::string row = registry.row_of(digest);
  REQUIRE(registry.restore(id).empty());
  CHECK(registry.restored->manifests.empty());
  CHECK(registry.row_of(digest) == row);
  CHECK(registry.points_to("pr-1") == digest);
  CHECK(registry.points_to("again") == digest);

  // Twice in the trash: what was pushed again left its names there, and they bring the manifest.
  const std::int64_t second = registry.throw_away(digest, 8);
  registry.push({"l1"}, {"third"});
  const std::int64_t third = registry.throw_away(digest, 9);
  CHECK(registry.count("trash WHERE media_type IS NULL") == 1);
  REQUIRE(registry.restore(second).empty());
  CHECK(registry.points_to("again") == digest);
  CHECK(registry.points_to("third") == digest);
  CHECK(registry.restore(third) == "not_found");
  CHECK(registry.count("trash") == 0);
}

TEST_CASE("trash: tags that went alone") {
  TrashFixture registry;
  const Digest digest = registry.push({"l1"}, {"pr-1", "stays"});
  const std::int64_t id = registry.throw_away_tag("pr-1");
  CHECK(registry.points_to("stays") == digest);
  SECTION("their manifest lives") {
    REQUIRE(registry.restore(id).empty());
    CHECK(registry.restored->manifests.empty());
    CHECK(registry.points_to("pr-1") == digest);
  }
  SECTION("their manifest followed later") {
    registry.throw_away(digest, 8);
    REQUIRE(registry.restore(id).empty());
    CHECK(registry.points_to("pr-1") == digest);
    CHECK(registry.points_to("stays") == digest);
    CHECK(registry.count("trash") == 0);
  }
  SECTION("their manifest is gone for good") {
    const std::int64_t manifest = registry.throw_away(digest, 8);
    REQUIRE(registry.erase(manifest).empty());
    CHECK(registry.restore(id) == "CONTENT_MISSING");
    REQUIRE(registry.erase(id).empty());
  }
}

TEST_CASE("trash: a run comes back as far as it can, with a report") {
  TrashFixture registry;
  const Digest a = registry.push({"l1"}, {"a"});
  const Digest b = registry.push({"l2"}, {"b"});
  registry.push({"l3"}, {});
  const Digest index = registry.push_index({three}, {"index"});
  registry.throw_away(a);
  registry.throw_away(b);
  registry.throw_away(index);
  registry.throw_away(digest_of(three));
  registry.throw_away(registry.push({"l4"}, {"other"}), 8);
  const Digest anew = registry.push({"l5"}, {"b"});
  const Trash trash(registry.context());
  const auto run = sync_wait(trash.restore_run({7, false, registry.actor}));
  REQUIRE(run.has_value());
  CHECK(run->manifests == 3);
  CHECK(run->tags == 2);
  CHECK(run->refused == 1);
  REQUIRE(run->refusals.size() == 1);
  CHECK(run->refusals[0].digest == b);
  CHECK(run->refusals[0].reason == "TAG_TAKEN");
  CHECK(registry.points_to("index") == index);
  CHECK(registry.points_to("b") == anew);
  const auto again = sync_wait(trash.restore_run({7, true, registry.actor}));
  REQUIRE(again.has_value());
  CHECK(again->manifests == 1);
  CHECK(again->skipped == 1);
  CHECK(registry.outcome(sync_wait(trash.restore_run({7, true, registry.actor}))) == "not_found");
  CHECK(registry.count("trash") == 1);
}

TEST_CASE("trash: pages, by repository and by run") {
  TrashFixture registry;
  for (int i = 0; i < 5; ++i) registry.throw_away(registry.push({"l" + std::to_string(i)}, {"t"}), 7 + i % 2);
  registry.throw_away(registry.push({"x"}, {"t"}, "b"), 7, "b");
  const Trash trash(registry.context());
  const auto listed = [&](TrashQuery query) {
    std::vector<std::int64_t> ids;
    for (;;) {
      const auto page = sync_wait(trash.list(query));
      REQUIRE(page.has_value());
      for (const TrashEntry& entry : page->items) ids.push_back(entry.item.id);
      if (page->next == 0) return ids;
      query.after = page->next;
    }
  };
  using Ids = std::vector<std::int64_t>;
  CHECK(listed({std::nullopt, std::nullopt, 0, 2}) == Ids{1, 2, 3, 4, 5, 6});
  CHECK(listed({name("a"), std::nullopt, 0, 2}) == Ids{1, 2, 3, 4, 5});
  CHECK(listed({std::nullopt, 7, 0, 2}) == Ids{1, 3, 5, 6});
  CHECK(listed({name("a"), 7, 0, 3}) == Ids{1, 3, 5});
  CHECK(registry.outcome(sync_wait(trash.list({name("c"), std::nullopt, 0, 2}))) == "name_unknown");
}

TEST_CASE("trash: bytes that rotted are not restored (I6)") {
  TrashFixture registry;
  const std::int64_t id = registry.throw_away(registry.push({"l1"}, {"pr-1"}));
  REQUIRE(gc::write_now(*registry.writer, {}, [](sql::Tx& tx) -> Result<void> {
            tx.execute("UPDATE trash SET bytes = x'00'");
            return {};
          }).has_value());
  CHECK(registry.restore(id) == "corrupt");
  CHECK(registry.count("manifests") == 0);
  CHECK(registry.count("trash") == 1);
}

TEST_CASE("trash: whatever write fails, all of a restoration is there after a restart, or nothing (I1)") {
  unsigned failed = 0, cut = 0;
  for (unsigned nth = 1;; ++nth) {
    sql::FaultyVfs vfs;
    const TestDirectory directory;
    RegistryPlace place{.path = directory.path, .database = {}};
    place.database.vfs = vfs.name();
    TrashFixture registry(ReferenceMode::strict, place);
    registry.push({"l1"}, {});
    registry.push({"l2"}, {});
    const Digest index = registry.push_index({one, two}, {"pr-1", "pr-2"});
    registry.push({"r1"}, {}, "a", index.str());
    const std::int64_t id = registry.throw_away(index);
    registry.throw_away(digest_of(one));
    registry.throw_away(digest_of(two));
    registry.throw_away(digest_of(image({"r1"}, "", "", index.str())));
    vfs.inject({.call = sql::FaultyVfs::Call::write, .nth = nth, .from_then_on = true, .half = true});
    const bool done = registry.restore(id).empty();
    const bool fired = vfs.fired();
    vfs.clear();
    registry.restart();
    INFO("write " << nth << (done ? ", restored" : ", failed"));
    const bool there = registry.has(index);
    if (done) CHECK(there);
    CHECK(registry.has(digest_of(one)) == there);
    CHECK(registry.has(digest_of(two)) == there);
    CHECK((registry.points_to("pr-1") == index) == there);
    CHECK((registry.points_to("pr-2") == index) == there);
    CHECK(registry.count("trash") == (there ? 0 : 4));
    CHECK(registry.count("trash_references") == (there ? 0 : 8));
    CHECK(registry.count("events WHERE action = 'manifest.restore'") == (there ? 4 : 0));
    if (!there) {
      CHECK(registry.restore(id).empty());
      ++cut;
    }
    CHECK(registry.collect_later() == 0);
    if (!fired) break;
    ++failed;
  }
  CHECK(failed > 0);
  CHECK(cut > 0);
}

}  // namespace
}  // namespace stele::trash_test
