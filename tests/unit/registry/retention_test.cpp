// Locks, holds, and the clock that releases locks: what they reach cannot go, by any road.

#include "registry/retention.hpp"
#include "base/media_type.hpp"
#include "registry/repositories.hpp"
#include "registry/tag_moves.hpp"
#include "tests/unit/registry/rules_fixture.hpp"

namespace stele::retention_test {
namespace {

using namespace rules_test;

const std::string one = image({"l1"}), two = image({"l1", "l2"});
constexpr std::int64_t hour = 3600, day = 24 * hour;

class Locks : public RulesFixture {
 public:
  using RulesFixture::RulesFixture;

  // The wall and the boot clock go on together, as they do.
  void pass(std::int64_t seconds) {
    clock.advance(seconds);
    boot.advance(seconds);
  }
  void lock_tags(const std::string& mode, const std::string& more = "") {
    use("tag_rules: [{name: keep, tags: [\"1.*\"], mutability: immutable, delete: allow, lock: {for: 10d, "
        "mode: " +
        mode + "}}" + more + "]\n");
  }
  std::string hold(const std::string& repository, const std::string& reference) {
    NewHold asked{"trial", "2026/77", "subpoena", name(repository), std::nullopt, actor};
    if (!reference.empty()) asked.reference = Reference::parse(reference).value();
    auto done = sync_wait(Retention(context()).set_hold(std::move(asked)));
    if (done) held = done->id;
    return outcome(done);
  }
  std::string release_hold() {
    return outcome(sync_wait(Retention(context()).release_hold(held, "settled", actor)));
  }
  std::string release_lock(const std::string& text) {
    return outcome(sync_wait(Retention(context()).release_lock(LockName{name("a"), tag(text), std::nullopt},
                                                               "by mistake", actor)));
  }
  std::string extend(const std::string& text, Timestamp until) {
    return outcome(sync_wait(
        Retention(context()).extend_lock(LockName{name("a"), tag(text), std::nullopt}, until, actor)));
  }
  std::string remove_blob(const Digest& digest) {
    return outcome(sync_wait(registry->delete_blob(name("a"), digest, actor)));
  }
  std::string remove_repository() {
    return outcome(sync_wait(Repositories(context()).remove(name("a"), actor)));
  }
  std::int64_t held = 0;
};

TEST_CASE("lock: until its time neither the tag nor what it reaches can go") {
  Locks registry;
  const std::string mode = GENERATE(true, false) ? "compliance" : "governance";
  registry.lock_tags(mode);
  const Digest layer = registry.push_blob("a", "l1");
  REQUIRE(registry.push(one, {}).empty());
  const std::string index = index_of({one});
  REQUIRE(registry.push(index, {"1.0"}, "a", media_type::oci_index).empty());
  const std::string referrer = image({"l9"}, "", "", digest_of(one).str());
  REQUIRE(registry.push(referrer, {}).empty());  // came later, to a child
  const std::string its_referrer = image({"l8"}, "", "", digest_of(referrer).str());
  REQUIRE(registry.push(its_referrer, {}).empty());
  REQUIRE(registry.push(two, {"free"}).empty());

  const auto everything_is_locked = [&] {
    CHECK(registry.remove("1.0") == "LOCKED");
    CHECK(registry.remove(digest_of(index).str()) == "LOCKED");
    CHECK(registry.remove(digest_of(one).str()) == "LOCKED");
    CHECK(registry.remove(digest_of(referrer).str()) == "LOCKED");
    CHECK(registry.remove(digest_of(its_referrer).str()) == "LOCKED");
    CHECK(registry.remove_blob(layer) == "LOCKED");
    CHECK(registry.remove_repository() == "LOCKED");
  };
  everything_is_locked();
  CHECK(registry.last_message.find("until 20") != std::string::npos);
  CHECK(registry.count("events WHERE reason = 'LOCKED' AND rule = 'keep'") == 7);
  registry.pass(10 * day - 2);
  everything_is_locked();
  registry.restart();
  everything_is_locked();
  CHECK(registry.remove("free").empty());

  SECTION("a laxer policy releases no lock") {
    registry.use("tag_rules: []\n");
    everything_is_locked();
  }
  SECTION("then it can") {
    registry.pass(3);
    CHECK(registry.remove("1.0").empty());
    CHECK(registry.remove(digest_of(its_referrer).str()).empty());
    CHECK(registry.remove(digest_of(index).str()).empty());
    CHECK(registry.remove_blob(layer).empty());
    CHECK(registry.remove_repository().empty());
  }
  SECTION("before, only governance is released, with a record") {
    CHECK(registry.release_lock("1.0") == (mode == "governance" ? "" : "LOCKED"));
    CHECK(registry.remove("1.0") == (mode == "governance" ? "" : "LOCKED"));
    CHECK(registry.count("events WHERE action = 'lock.release' AND reason = 'by mistake'") ==
          (mode == "governance" ? 1 : 0));
    CHECK(registry.count("events WHERE action = 'lock.refused'") == (mode == "governance" ? 0 : 1));
  }
  SECTION("it can be made longer, never shorter") {
    const Timestamp now = registry.release_clock.now();
    CHECK(registry.extend("1.0", now) == "parameter_invalid");
    CHECK(registry.extend("1.0", now + 30 * day * 1'000'000).empty());
    registry.pass(29 * day);
    everything_is_locked();
    registry.pass(2 * day);
    CHECK(registry.remove("1.0").empty());
  }
}

TEST_CASE(
    "lock: is extended to 100 years from now at most, of whatever mode, and nothing is changed beyond (A1)") {
  Locks registry;
  const std::string mode = GENERATE(true, false) ? "compliance" : "governance";
  registry.lock_tags(mode);
  REQUIRE(registry.push(one, {"1.0"}).empty());
  const auto until = [&] { return Retention(registry.context()).locks(name("a"), "", "", 9)->at(0).until; };
  const Timestamp stamped = until();
  const Timestamp latest = registry.release_clock.now() + 100 * 365 * day * 1'000'000;
  CHECK(registry.extend("1.0", parse_timestamp("9999-12-31T23:59:59Z").value()) == "parameter_invalid");
  CHECK(registry.last_message.find("the lock on a:1.0 can hold until " + to_string(latest) + " at most") ==
        0);
  CHECK(registry.extend("1.0", latest + 1) == "parameter_invalid");
  CHECK(until() == stamped);
  CHECK(registry.count("events WHERE action = 'lock.extend'") == 0);

  CHECK(registry.extend("1.0", latest).empty());
  CHECK(until() == latest);
  registry.pass(day);  // a day later a day more
  CHECK(registry.extend("1.0", latest + (day + 1) * 1'000'000) == "parameter_invalid");
  CHECK(registry.extend("1.0", latest + day * 1'000'000).empty());
  // By the clock that releases locks: setting the machine's forward makes no room.
  registry.clock.advance(365 * day);
  CHECK(registry.extend("1.0", latest + 2 * day * 1'000'000) == "parameter_invalid");
}

// All but the locked one name the blob twice, as configuration and as layer: it is the last of many rows.
TEST_CASE("lock: is found behind thousands of manifests that name the same blob twice (I5, I8)") {
  Locks registry;
  registry.lock_tags("compliance");
  const Digest blob = registry.push_blob("a", "{}");
  auto pending = registry.writer->write({}, [&](sql::Tx& tx) -> Result<void> {
    const auto repository = catalog::find_repository(tx, name("a")).value();
    for (int i = 0; i < 5000; ++i) {
      const std::string bytes = image({"{}"}, std::to_string(i));
      const auto manifest = Manifest::parse(media_type::oci_manifest, bytes).value();
      catalog::insert_manifest(tx, repository, catalog::NewManifest{manifest, digest_of(bytes), bytes},
                               registry.clock.now(), "tester");
    }
    return {};
  });
  REQUIRE(sync_wait([&]() -> Task<Result<void>> { co_return co_await pending; }()).has_value());
  std::string locked = image({"{}"}, "locked");
  locked.replace(locked.find(digest_of("{}").str()), digest_of("{}").str().size(), digest_of("other").str());
  REQUIRE(registry.push(locked, {"1.0"}).empty());
  CHECK(registry.remove_blob(blob) == "LOCKED");
}

TEST_CASE("lock: never blocks a move that the rule permits; what is displaced stays") {
  Locks registry;
  registry.use(
      "tag_rules: [{name: k, tags: [latest], mutability: mutable, lock: {for: 1d, mode: compliance}}]\n");
  REQUIRE(registry.push(one, {"latest"}).empty());
  REQUIRE(registry.push(two, {"latest"}).empty());
  CHECK(registry.remove("latest") == "LOCKED");
  CHECK(registry.remove(digest_of(one).str()) == "LOCKED");
  CHECK(registry.remove(digest_of(two).str()) == "LOCKED");
  CHECK(registry.count("locks") == 2);
  const auto until = registry.count("locks WHERE until = (SELECT min(until) FROM locks)");
  registry.pass(hour);
  REQUIRE(registry.push(two, {"latest"}).empty());  // the same again changes nothing
  CHECK(registry.count("locks WHERE until = (SELECT min(until) FROM locks)") == until);
  registry.pass(day);
  CHECK(registry.remove(digest_of(one).str()).empty());
}

TEST_CASE("lock: stamped by a promotion under the target's rule, and by a rollback") {
  Locks registry;
  registry.use(
      "tag_rules: [{name: p, repositories: [\"prod/**\"], tags: [\"**\"], mutability: mutable, lock: {for: "
      "1d, mode: "
      "compliance}}]\n");
  REQUIRE(registry.push(one, {"t"}).empty());
  REQUIRE(
      sync_wait(TagMoves(registry.context())
                    .promote(Promotion{name("a"), Reference(tag("t")), name("prod/a"), {}, registry.actor}))
          .has_value());
  CHECK(registry.remove("t", "prod/a") == "LOCKED");
  CHECK(registry.remove("t").empty());
}

TEST_CASE("hold: on a tag, a manifest, a repository; until it is released") {
  Locks registry;
  REQUIRE(registry.push(one, {"t", "u"}).empty());
  REQUIRE(registry.push(two, {"other"}).empty());
  CHECK(registry.hold("nowhere", "") == "name_unknown");
  CHECK(registry.hold("a", "never") == "manifest_unknown");
  CHECK(registry.hold("a", digest_of("x").str()) == "manifest_unknown");

  SECTION("a tag and what it points to") {
    REQUIRE(registry.hold("a", "t").empty());
    CHECK(registry.remove("t") == "HELD");
    CHECK(registry.last_message.find("trial (case 2026/77)") != std::string::npos);
    CHECK(registry.remove(digest_of(one).str()) == "HELD");
    CHECK(registry.remove("u").empty());
    CHECK(registry.remove("other").empty());
    REQUIRE(registry.push(two, {"t"}).empty());  // a move is the rule's affair
    CHECK(registry.remove(digest_of(one).str()) == "HELD");
    CHECK(registry.remove("t") == "HELD");
  }
  SECTION("a manifest, not the tags on it") {
    REQUIRE(registry.hold("a", digest_of(one).str()).empty());
    CHECK(registry.remove("t").empty());
    CHECK(registry.remove(digest_of(one).str()) == "HELD");
  }
  SECTION("a repository") {
    REQUIRE(registry.hold("a", "").empty());
    CHECK(registry.remove("other") == "HELD");
    CHECK(registry.remove(digest_of(two).str()) == "HELD");
  }
  CHECK(registry.remove_repository() == "HELD");
  registry.restart();
  CHECK(registry.remove_repository() == "HELD");
  CHECK(registry.release_hold().empty());
  CHECK(registry.release_hold() == "parameter_invalid");
  CHECK(registry.remove_repository().empty());
  CHECK(registry.count("events WHERE action = 'hold.set'") == 1);
  CHECK(registry.count("events WHERE action = 'hold.release' AND reason = 'settled'") == 1);
  CHECK(Retention(registry.context()).holds(0, false, 9)->empty());
  CHECK(Retention(registry.context()).holds(0, true, 9)->size() == 1);
}

TEST_CASE("release clock: never backwards, never faster than the boot clock, no jump at start unconfirmed") {
  SettableClock wall, boot;
  const Timestamp begin = wall.now();
  const auto after = [&](std::int64_t seconds) { return begin + seconds * 1'000'000; };
  ReleaseClock clock(wall, boot);
  CHECK(clock.now() == begin);
  wall.advance(10);
  boot.advance(10);
  CHECK(clock.now() == after(10));

  SECTION("the machine's time is set forward while it runs") {
    wall.advance(365 * day);
    CHECK(clock.now() == after(10));
    boot.advance(5);
    wall.advance(5);
    CHECK(clock.now() == after(15));
  }
  SECTION("and backward") {
    wall.advance(-day);
    boot.advance(5);
    CHECK(clock.now() == after(10));
    wall.advance(day);
    CHECK(clock.now() == after(10));
  }
  SECTION("a restart within a day") {
    wall.advance(day - 1);
    boot.advance(-1000);  // the machine was started anew
    clock.begin(after(10));
    CHECK_FALSE(clock.unconfirmed().has_value());
    CHECK(clock.now() == after(10 + day - 1));
  }
  SECTION("a restart with a jump") {
    wall.advance(2 * day);
    clock.begin(after(10));
    CHECK(clock.unconfirmed() == after(10 + 2 * day));
    CHECK(clock.now() == after(10));
    wall.advance(7);
    boot.advance(7);
    CHECK(clock.now() == after(17));
    clock.confirm();
    CHECK_FALSE(clock.unconfirmed().has_value());
    CHECK(clock.now() == after(17 + 2 * day));
  }
  SECTION("what is confirmed is what was shown, not a later jump") {
    wall.advance(2 * day);
    clock.begin(after(10));
    wall.advance(365 * day);
    boot.advance(7);
    clock.confirm();
    CHECK(clock.now() == after(17 + 2 * day));
  }
  SECTION("a restart in the past") {
    wall.advance(-10 * day);
    clock.begin(after(10));
    CHECK(clock.now() == after(10));
    wall.advance(day);
    boot.advance(day);
    CHECK(clock.now() == after(10));
  }
}

TEST_CASE("pull rules: production pulls digests and immutable tags") {
  Locks registry;
  registry.use(
      "tag_rules: [{name: r, tags: [\"1.*\", \"sha-*\"], mutability: immutable}]\n"
      "pull_rules: [{name: pins, principals: [\"robot:prod-*\"], repositories: [\"a\"], require: pinned}]\n");
  REQUIRE(registry.push(one, {"latest", "1.0", "sha-abc"}).empty());
  REQUIRE(registry.push(one, {"latest"}, "b").empty());
  const auto may = [&](const std::string& who, const std::string& reference,
                       const std::string& repository = "a") {
    return registry.outcome(
        registry.registry->may_pull(name(repository), Reference::parse(reference).value(), Principal(who)));
  };
  CHECK(may("robot:prod-1", "latest") == "PULL_NOT_PINNED");
  CHECK(registry.last_message ==
        "pulling a:latest needs a digest or an immutable tag (rule pins); latest is " + digest_of(one).str() +
            ", also tagged 1.0, sha-abc");
  CHECK(may("anonymous", "latest") == "PULL_NOT_PINNED");
  CHECK(may("robot:prod-1", "1.0").empty());
  CHECK(may("robot:prod-1", digest_of(one).str()).empty());
  CHECK(may("robot:prod-1", "never").empty());  // answered as what is not there
  CHECK(may("robot:prod-1", "latest", "b").empty());
  CHECK(may("user:alice", "latest").empty());
}

}  // namespace
}  // namespace stele::retention_test
