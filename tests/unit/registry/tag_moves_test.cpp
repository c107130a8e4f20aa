// Going back, approving what upstream has, freeing a name, removing a repository: further roads to a tag,
// each under its rule (I3, I4).

#include "registry/tag_moves.hpp"

#include <future>

#include "registry/policies.hpp"
#include "registry/retention.hpp"
#include "tests/unit/registry/moves_fixture.hpp"

namespace stele {
namespace {

using namespace rules_test;

template <class T>
std::optional<Errc> errc(const Result<T>& result) {
  if (result) return std::nullopt;
  return result.error().code();
}

TEST_CASE("approve: one write moves the tag and tells who did it, under the tag's rule") {
  Moves registry;
  REQUIRE(registry.push(one, {"latest", "1.0.0"}).empty());
  REQUIRE(registry.push(two, {}).empty());
  REQUIRE(registry.approve("latest", digest_of(two)).empty());
  CHECK(registry.points_to("latest") == digest_of(two));
  CHECK(registry.approved->from == digest_of(one));
  const auto entries = registry.history("latest");
  REQUIRE(entries.size() == 2);
  CHECK(entries[0].action == "tag.approve");
  CHECK(entries[0].actor == "tester");
  CHECK(entries[0].reason == "https://upstream.example");
  CHECK(entries[0].previous == digest_of(one));
  REQUIRE(registry.approve("latest", digest_of(two)).empty());
  CHECK(registry.count("events WHERE action = 'tag.approve'") == 1);
  CHECK(registry.approve("1.0.0", digest_of(two)) == "TAG_IMMUTABLE");
  CHECK(registry.points_to("1.0.0") == digest_of(one));
  CHECK(registry.approve("latest", digest_of(three)) == "manifest_unknown");
}

TEST_CASE("rollback: to the digest before, to one that is named, to a moment") {
  Moves registry;
  REQUIRE(registry.push(one, {"latest"}).empty());
  registry.clock.advance(60);
  const Timestamp then = registry.clock.now();
  registry.clock.advance(60);
  REQUIRE(registry.push(two, {"latest"}).empty());
  REQUIRE(registry.roll_back("latest").empty());
  CHECK(registry.points_to("latest") == digest_of(one));
  REQUIRE(registry.roll_back("latest").empty());
  CHECK(registry.points_to("latest") == digest_of(two));
  REQUIRE(registry.roll_back("latest", std::nullopt, then).empty());
  CHECK(registry.points_to("latest") == digest_of(one));
  REQUIRE(registry.roll_back("latest", digest_of(two)).empty());
  CHECK(registry.points_to("latest") == digest_of(two));
  const auto entries = registry.history("latest");
  REQUIRE(entries.size() == 6);
  CHECK(entries[0].action == "tag.rollback");
  CHECK(entries[0].reason == "because");
  CHECK(entries[0].actor == "tester");
  CHECK(entries[0].previous == digest_of(one));
  CHECK(entries[5].action == "tag.set");
  CHECK_FALSE(entries[5].previous.has_value());
  for (const auto& entry : entries) CHECK(entry.rule == "default");
}

TEST_CASE("rollback: only to what the tag had and what is there") {
  Moves registry;
  REQUIRE(registry.push(one, {"latest"}).empty());
  CHECK(registry.roll_back("latest") == "manifest_unknown");
  CHECK(registry.roll_back("latest", std::nullopt, Timestamp{0}) == "manifest_unknown");
  CHECK(registry.roll_back("never") == "manifest_unknown");
  REQUIRE(registry.push(two, {"other"}).empty());
  CHECK(registry.roll_back("latest", digest_of(two)) == "manifest_unknown");  // another tag's
  REQUIRE(registry.push(two, {"latest"}).empty());
  REQUIRE(registry.remove(digest_of(one).str()).empty());
  CHECK(registry.roll_back("latest") == "manifest_unknown");
  CHECK(registry.last_message.find("no longer in a; push it again by digest first") != std::string::npos);
  REQUIRE(registry.push(one, {}).empty());
  CHECK(registry.roll_back("latest").empty());
}

TEST_CASE("rollback: forward-only lets it pass, immutable and append-only do not (I3)") {
  Moves registry;
  REQUIRE(registry.push(one, {"forward", "fixed", "log"}).empty());
  REQUIRE(registry.push(two, {"forward", "fixed", "log"}).empty());
  registry.use(
      "tag_rules:\n"
      "  - {name: f, tags: [forward], mutability: forward-only}\n"
      "  - {name: i, tags: [fixed], mutability: immutable}\n"
      "  - {name: l, tags: [log], mutability: append-only}\n");
  CHECK(registry.push(one, {"forward"}) == "TAG_FORWARD_ONLY");
  CHECK(registry.roll_back("forward").empty());
  CHECK(registry.push(three, {"forward"}) == "TAG_FORWARD_ONLY");
  CHECK(registry.push(two, {"forward"}).empty());
  CHECK(registry.roll_back("fixed") == "TAG_IMMUTABLE");
  CHECK(registry.points_to("fixed") == digest_of(two));
  CHECK(registry.roll_back("log") == "TAG_APPEND_ONLY");
  CHECK(registry.count("events WHERE action = 'tag.refused'") == 4);
}

TEST_CASE("rollback: a deleted tag comes back, an immutable one only as it was (I3)") {
  Moves registry;
  registry.use("tag_rules: [{name: i, tags: [fixed], mutability: immutable, delete: allow}]\n");
  REQUIRE(registry.push(one, {"fixed", "moving"}).empty());
  REQUIRE(registry.remove("fixed").empty());
  REQUIRE(registry.remove("moving").empty());
  CHECK(registry.roll_back("fixed").empty());
  CHECK(registry.points_to("fixed") == digest_of(one));
  CHECK(registry.roll_back("moving").empty());
  CHECK(registry.points_to("moving") == digest_of(one));
}

TEST_CASE("history: what held at a moment, and pages") {
  Moves registry;
  const TagHistory tags(registry.context());
  const auto at = [&](Timestamp when) { return sync_wait(tags.at(name("a"), tag("t"), when)); };
  CHECK(errc(at({1})) == Errc::name_unknown);
  REQUIRE(registry.push(one, {"other"}).empty());
  CHECK(errc(at({1})) == Errc::manifest_unknown);
  std::vector<Timestamp> moments;
  for (int i = 0; i < 7; ++i) {
    registry.clock.advance(10);
    REQUIRE(registry.push(i % 2 == 0 ? one : two, {"t"}).empty());
    moments.push_back(registry.clock.now());
  }
  registry.clock.advance(10);
  REQUIRE(registry.remove("t").empty());
  CHECK(errc(at(moments[0] + -1)) == Errc::manifest_unknown);
  for (std::size_t i = 0; i < moments.size(); ++i) {
    CHECK(at(moments[i])->current == digest_of(i % 2 == 0 ? one : two));
    CHECK(at(moments[i] + 9'999'999)->current == digest_of(i % 2 == 0 ? one : two));
  }
  CHECK_FALSE(at(registry.clock.now())->current.has_value());

  std::size_t seen = 0;
  for (std::int64_t before = 0;;) {
    const auto page = sync_wait(tags.history(name("a"), tag("t"), before, 3));
    REQUIRE(page.has_value());
    seen += page->entries.size();
    if (page->next == 0) break;
    before = page->next;
  }
  CHECK(seen == 8);
  CHECK(errc(sync_wait(tags.history(name("a"), tag("never"), 0, 3))) == Errc::manifest_unknown);

  const auto all = sync_wait(tags.list(name("a"), "", 1));
  REQUIRE(all.has_value());
  REQUIRE(all->tags.size() == 1);
  CHECK(all->tags[0].tag.str() == "other");
  CHECK_FALSE(all->more);
}

TEST_CASE(
    "release: the next push decides what the name means, and the record says who freed it and why (I3, I4)") {
  Moves registry;
  registry.use(
      "tag_rules:\n"
      "  - {name: i, tags: [\"1.*\"], mutability: immutable}\n"
      "  - {name: f, tags: [\"f*\"], mutability: forward-only}\n"
      "  - {name: p, tags: [\"s*\"], mutability: append-only, delete: allow}\n");
  REQUIRE(registry.push(two, {"1.0", "f", "s", "latest"}).empty());
  for (const char* name : {"1.0", "f", "s", "latest"}) {
    INFO(name);
    REQUIRE(registry.release(name).empty());
    CHECK(registry.freed->digest == digest_of(two));
    CHECK(registry.freed->removed);
    CHECK_FALSE(registry.points_to(name).has_value());
    CHECK(registry.push(three, {name}).empty());
    const auto entries = registry.history(name);
    REQUIRE(entries.size() == 3);
    CHECK(entries[1].action == "tag.delete");
    CHECK(entries[1].reason == "the wrong branch");
    CHECK(entries[1].actor == "tester");
  }
  CHECK(registry.count("events WHERE action = 'name.released' AND reason = 'the wrong branch'") == 4);
  CHECK(registry.push(one, {"1.0"}) == "TAG_IMMUTABLE");  // bound again from its next push on
  const auto explained = Policies(registry.context()).explain(name("a"), tag("1.0"));
  REQUIRE(explained.has_value());
  REQUIRE(explained->released.has_value());
  CHECK(explained->released->digest == digest_of(two));
  CHECK(explained->released->reason == "the wrong branch");
}

TEST_CASE(
    "release: a name that is kept after its tag, or its repository, went; one that is free is said to be") {
  Moves registry;
  registry.use("tag_rules: [{name: i, tags: [\"1.*\"], mutability: immutable, delete: allow}]\n");
  REQUIRE(registry.push(one, {"1.0", "1.1"}).empty());
  REQUIRE(registry.remove("1.0").empty());
  CHECK(registry.push(two, {"1.0"}) == "TAG_IMMUTABLE");
  REQUIRE(registry.release("1.0").empty());
  CHECK_FALSE(registry.freed->removed);
  CHECK(registry.push(two, {"1.0"}).empty());
  REQUIRE(registry.remove_repository("a").empty());
  CHECK(registry.release("1.1").empty());
  CHECK(registry.release("1.1") == "manifest_unknown");
  CHECK(registry.push(two, {"1.1"}).empty());
  CHECK(registry.release("9.9") == "manifest_unknown");
  CHECK(registry.release("1.0", "nobody") == "manifest_unknown");
}

TEST_CASE("release: not under a lock or a hold, and not when it points elsewhere by now (I3)") {
  Moves registry;
  registry.use(
      "tag_rules: [{name: i, tags: [\"1.*\"], mutability: immutable, lock: {for: 1d, mode: governance}}]\n");
  REQUIRE(registry.push(one, {"1.0"}).empty());
  REQUIRE(registry.push(two, {"held", "x"}).empty());
  const Retention retention(registry.context());
  REQUIRE(sync_wait(retention.set_hold({"h", "1", "", name("a"), Reference(tag("held")), registry.actor}))
              .has_value());
  CHECK(registry.release("1.0") == "LOCKED");
  CHECK(registry.release("held") == "HELD");
  CHECK(registry.points_to("1.0") == digest_of(one));
  CHECK(registry.count("events WHERE action = 'tag.refused' AND reason IN ('LOCKED', 'HELD')") == 2);
  CHECK(registry.count("events WHERE action = 'name.released'") == 0);
  Preconditions conditions;
  conditions.if_match = EntityCondition{false, {digest_of(one).str()}};
  CHECK(registry.release("x", "a", conditions) == "PRECONDITION_FAILED");
  conditions.if_match = EntityCondition{false, {digest_of(two).str()}};
  CHECK(registry.points_to("x") == digest_of(two));
  registry.clock.advance(86401);
  registry.boot.advance(86401);
  CHECK(registry.release("1.0").empty());
}

TEST_CASE("repository: removed whole under the rules; its names stay bound (I3)") {
  Moves registry;
  registry.use(
      "tag_rules:\n"
      "  - {name: i, tags: [\"1.*\"], mutability: immutable, delete: allow}\n"
      "  - {name: f, tags: [\"f*\"], mutability: forward-only}\n"
      "  - {name: k, tags: [keep], mutability: immutable}\n");
  CHECK(registry.remove_repository("a") == "name_unknown");
  REQUIRE(registry.push(one, {"1.0", "latest", "f0", "f1", "f2"}).empty());
  REQUIRE(registry.push(two, {"keep"}).empty());
  registry.push_blob("a", "l1");
  CHECK(registry.remove_repository("a") == "TAG_DELETE_DENIED");
  CHECK(registry.last_message.find("\"keep\"") != std::string::npos);
  CHECK(registry.count("tags") == 6);
  registry.use(
      "tag_rules:\n"
      "  - {name: i, tags: [\"1.*\"], mutability: immutable, delete: allow}\n"
      "  - {name: f, tags: [\"f*\"], mutability: forward-only}\n");
  REQUIRE(registry.remove_repository("a").empty());
  for (const char* table : {"repositories", "manifests", "tags", "tag_history", "repository_blobs"})
    CHECK(registry.count(table) == 0);
  CHECK(registry.count("blobs") == 1);  // collected later
  CHECK(registry.count("events WHERE action = 'repository.delete'") == 1);
  CHECK(registry.push(two, {"1.0"}) == "TAG_IMMUTABLE");
  CHECK(registry.push(three, {"f0"}) == "TAG_FORWARD_ONLY");
  CHECK(registry.push(two, {"latest", "f1"}).empty());
  CHECK(registry.push(one, {"1.0"}).empty());
}

TEST_CASE(
    "tag moves: the past is looked through outside the writer's turn, which others have meanwhile (A29)") {
  Moves registry;
  REQUIRE(registry.push(one, {"t"}).empty());
  const Timestamp then = registry.clock.now();
  registry.clock.advance(60);
  REQUIRE(registry.push(two, {"t"}).empty());
  const bool by_time = GENERATE(true, false);
  std::promise<void> ended;
  const std::shared_future<void> end = ended.get_future().share();
  const auto wait = [end] { end.wait(); };
  auto first = registry.db.start(wait), second = registry.db.start(wait);  // all that reads for long
  auto done = std::async(std::launch::async, [&] {
    if (by_time) return registry.roll_back("t", std::nullopt, then);
    return registry.roll_back("t", digest_of(one));
  });
  CHECK(registry.push(three, {"other"}).empty());
  CHECK(registry.points_to("t") == digest_of(two));
  ended.set_value();
  CHECK(done.get().empty());
  CHECK(registry.points_to("t") == digest_of(one));
}

}  // namespace
}  // namespace stele
