// Lifecycle's road to a tag (I3, I4), and since when a manifest has no tag, whatever road took its last one.

#include "registry/repositories.hpp"
#include "registry/retention.hpp"
#include "registry/ruled_write.hpp"
#include "registry/tag_history.hpp"
#include "registry/tag_moves.hpp"
#include "tests/unit/registry/rules_fixture.hpp"

namespace stele::tag_expiry_test {
namespace {

using namespace rules_test;

const std::string one = image({"l1"}, "1.0.0"), two = image({"l1", "l2"}, "1.1.0"),
                  three = image({"l2"}, "0.9.0");

class Expiring : public RulesFixture {
 public:
  using RulesFixture::RulesFixture;

  std::string expire(const std::string& text, const std::string& repository = "a") {
    const auto of = name(repository);
    const RuledBody body = [&](sql::Tx& tx, Orderings& orderings) -> Result<void> {
      const auto id = catalog::find_repository(tx, of).value();
      const auto bound = catalog::find_tag(tx, id, of, tag(text));
      TagRules rules(tx, context(), id, of, actor, orderings);
      auto removed = rules.remove_expired(tag(text), **bound, {7, "ci", "older than 14d"});
      return removed;
    };
    const auto registry_context = context();
    return outcome(sync_wait(write_under_rules(registry_context, {}, of, std::nullopt, body)));
  }
  std::optional<Timestamp> untagged_since(const std::string& bytes, const std::string& repository = "a") {
    return database
        ->read([&](sql::Session& session) -> Result<std::optional<Timestamp>> {
          const auto id = catalog::find_repository(session, name(repository)).value();
          return catalog::untagged_since(session,
                                         catalog::find_manifest(session, id, digest_of(bytes)).value().id);
        })
        .value();
  }
};

TEST_CASE("expiry: the tag's rule says protect or allow, whatever it says of delete") {
  Expiring registry;
  registry.use(
      "tag_rules:\n"
      "  - {name: releases, tags: [\"1.*\"], mutability: immutable}\n"
      "  - {name: commits, tags: [\"sha-*\"], mutability: immutable, lifecycle: allow}\n"
      "  - {name: kept, tags: [keep], mutability: mutable, lifecycle: protect}\n");
  REQUIRE(registry.push(one, {"1.0", "sha-1", "keep", "pr-1"}).empty());
  CHECK(registry.expire("1.0") == "TAG_LIFECYCLE_PROTECTED");
  CHECK(registry.last_message ==
        "tag \"1.0\" in a is protected from lifecycle (rule releases); it points to " + digest_of(one).str() +
            "; lifecycle: allow in that rule lets it go");
  CHECK(registry.expire("keep") == "TAG_LIFECYCLE_PROTECTED");
  CHECK(registry.count("events WHERE action = 'tag.refused' AND reason = 'TAG_LIFECYCLE_PROTECTED'") == 2);
  CHECK(registry.remove("sha-1") == "TAG_DELETE_DENIED");
  CHECK(registry.expire("sha-1").empty());
  CHECK(registry.expire("pr-1").empty());
  CHECK_FALSE(registry.points_to("sha-1").has_value());
  CHECK(registry.count("events WHERE action = 'tag.expire' AND rule = 'ci' AND new_digest IS NULL AND reason "
                       "= 'run 7: older than 14d'") == 2);
  const auto history = sync_wait(TagHistory(registry.context()).history(name("a"), tag("pr-1"), 0, 9));
  REQUIRE(history.has_value());
  CHECK(history->entries.front().action == "tag.expire");
  CHECK(history->entries.front().rule == "ci");
  CHECK(history->entries.front().previous == digest_of(one));
}

TEST_CASE("expiry: names that rules keep stay bound (I3)") {
  Expiring registry;
  registry.use(
      "tag_rules:\n"
      "  - {name: i, tags: [\"sha-*\"], mutability: immutable, lifecycle: allow}\n"
      "  - {name: f, tags: [forward], mutability: forward-only}\n"
      "  - {name: l, tags: [log], mutability: append-only}\n");
  REQUIRE(registry.push(two, {"sha-1", "forward", "log"}).empty());
  REQUIRE(registry.expire("sha-1").empty());
  REQUIRE(registry.expire("forward").empty());
  REQUIRE(registry.expire("log").empty());
  CHECK(registry.push(one, {"sha-1"}) == "TAG_IMMUTABLE");
  CHECK(registry.push(three, {"forward"}) == "TAG_FORWARD_ONLY");
  CHECK(registry.push(three, {"log"}) == "TAG_APPEND_ONLY");
  CHECK(registry.push(two, {"sha-1", "forward", "log"}).empty());
}

TEST_CASE("expiry: locks and holds keep the tag") {
  Expiring registry;
  registry.use(
      "tag_rules: [{name: k, tags: [locked], mutability: mutable, lock: {for: 1d, mode: governance}}]\n");
  REQUIRE(registry.push(one, {"locked"}).empty());
  REQUIRE(registry.push(two, {"held"}).empty());
  const Retention retention(registry.context());
  REQUIRE(sync_wait(retention.set_hold({"h", "1", "", name("a"), Reference(tag("held")), registry.actor}))
              .has_value());
  CHECK(registry.expire("locked") == "LOCKED");
  CHECK(registry.expire("held") == "HELD");
  registry.clock.advance(86401);
  registry.boot.advance(86401);
  CHECK(registry.expire("locked").empty());
}

TEST_CASE("untagged: since the last tag went, by whatever road") {
  Expiring registry;
  REQUIRE(registry.push(one, {"t", "u"}).empty());
  CHECK_FALSE(registry.untagged_since(one).has_value());
  registry.clock.advance(60);
  const Timestamp first = registry.clock.now();

  SECTION("moved away by a push") {
    REQUIRE(registry.push(two, {"t"}).empty());
    CHECK_FALSE(registry.untagged_since(one).has_value());  // u is left
    registry.clock.advance(60);
    REQUIRE(registry.push(two, {"u"}).empty());
    CHECK(registry.untagged_since(one) == first + 60'000'000);
    registry.clock.advance(60);
    REQUIRE(registry.push(two, {"t"}).empty());  // moves nothing
    CHECK(registry.untagged_since(one) == first + 60'000'000);
  }
  SECTION("deleted") {
    REQUIRE(registry.remove("u").empty());
    CHECK_FALSE(registry.untagged_since(one).has_value());
    REQUIRE(registry.remove("t").empty());
    CHECK(registry.untagged_since(one) == first);
  }
  SECTION("expired, tagged again, and untagged later") {
    REQUIRE(registry.expire("u").empty());
    REQUIRE(registry.expire("t").empty());
    CHECK(registry.untagged_since(one) == first);
    REQUIRE(registry.push(one, {"t"}).empty());
    registry.clock.advance(60);
    REQUIRE(registry.expire("t").empty());
    CHECK(registry.untagged_since(one) == first + 60'000'000);
  }
  SECTION("rolled back and promoted over") {
    REQUIRE(registry.remove("u").empty());
    REQUIRE(registry.push(two, {"t"}).empty());
    registry.clock.advance(60);
    REQUIRE(sync_wait(
                TagMoves(registry.context())
                    .rollback(Rollback{name("a"), tag("t"), std::nullopt, std::nullopt, "", registry.actor}))
                .has_value());
    CHECK(registry.untagged_since(two) == first + 60'000'000);
    REQUIRE(registry.push(three, {"t"}, "b").empty());
    registry.clock.advance(60);
    REQUIRE(sync_wait(TagMoves(registry.context())
                          .promote(Promotion{name("a"), Reference(tag("t")), name("b"), {}, registry.actor}))
                .has_value());
    CHECK(registry.untagged_since(three, "b") == first + 120'000'000);
  }
  SECTION("a manifest that goes leaves nothing behind") {
    REQUIRE(registry.push(two, {}).empty());
    REQUIRE(registry.remove(digest_of(one).str()).empty());
    CHECK(registry.count("untagged_manifests") == 0);
    CHECK_FALSE(registry.untagged_since(two).has_value());  // it never had one
    REQUIRE(registry.push(one, {"t"}).empty());
    REQUIRE(sync_wait(Repositories(registry.context()).remove(name("a"), registry.actor)).has_value());
    CHECK(registry.count("untagged_manifests") == 0);
  }
}

}  // namespace
}  // namespace stele::tag_expiry_test
