// The policies that were in force, and what one that is not yet would have done.

#include "registry/policies.hpp"

#include <future>
#include <set>

#include "registry/policy_trial.hpp"
#include "tests/support/writes_beside.hpp"
#include "tests/unit/registry/moves_fixture.hpp"

namespace stele {
namespace {

using namespace rules_test;

TEST_CASE("policies: every version is kept, and a tag is explained") {
  Moves registry;
  const Policies policies(registry.context());
  registry.use("tag_rules: [{name: i, tags: [fixed], mutability: immutable, delete: allow}]\n");
  registry.use("tag_rules: []\n");
  registry.use("tag_rules: [{name: i, tags: [fixed], mutability: immutable, delete: allow}]\n");
  const auto versions = policies.versions(10);
  REQUIRE(versions.has_value());
  REQUIRE(versions->size() == 3);
  CHECK(versions->at(0).hash == versions->at(2).hash);
  CHECK(versions->at(0).loaded_by == "tester");
  const auto explain = [&] { return policies.explain(name("a"), tag("fixed")).value(); };
  CHECK(explain().match.rule->name == "i");
  CHECK_FALSE(explain().binding.has_value());
  REQUIRE(registry.push(one, {"fixed"}).empty());
  CHECK(explain().binding->digest == digest_of(one));
  REQUIRE(registry.remove("fixed").empty());
  CHECK(explain().binding->removed);
}

constexpr const char* keeps =
    "tag_rules: [{name: i, tags: [\"v*\"], mutability: immutable, delete: allow}]\n";
constexpr const char* frees = "tag_rules: [{name: m, tags: [\"v*\"], mutability: mutable}]\n";

// Names that a rule kept, without the tags that had them.
void keep_names(Moves& registry, int count) {
  auto pending = registry.writer->write({}, [&](sql::Tx& tx) -> Result<void> {
    for (int i = 0; i < count; ++i) {
      catalog::put_removed_name(tx, name("a"), tag("v" + std::to_string(i)),
                                {"immutable", digest_of(one), registry.clock.now(), "tester", {}, "", ""});
    }
    return {};
  });
  REQUIRE(sync_wait([&]() -> Task<Result<void>> { co_return co_await pending; }()).has_value());
}

TEST_CASE("policies: thousands of names are freed in steps, and others write between them (A29, I3, I10)") {
  constexpr int count = 5000;
  Moves registry;
  registry.use(keeps);
  keep_names(registry, count);
  std::set<std::int64_t> left;  // as others found it when it was their turn
  {
    const WritesBeside beside(*registry.writer, [&](sql::Tx& session) {
      auto rows = session.query("SELECT count(*) FROM removed_names");
      rows.next();
      left.insert(rows.integer(0));
    });
    registry.use(frees);
  }
  CHECK(left.size() >= count / 500);
  CHECK(*left.begin() == 0);
  CHECK(*left.rbegin() == count);
  CHECK(registry.count("events WHERE action = 'name.released' AND rule = 'm'") == count);
  CHECK(registry.count("events WHERE action = 'policy.load'") == 2);
  registry.use(keeps);
  CHECK(registry.push(two, {"v7"}).empty());
}

TEST_CASE("policies: what a crash kept from being freed is freed when the policy is read again (I3)") {
  Moves registry;
  registry.use(frees);
  keep_names(registry, 3);  // as they stand between the policy's commit and theirs
  registry.use(frees);
  CHECK(registry.count("removed_names") == 0);
  CHECK(registry.count("events WHERE action = 'name.released'") == 3);
  CHECK(registry.count("events WHERE action = 'policy.load'") == 1);
}

TEST_CASE("policy trial: tags that look fixed and that no rule covers are listed") {
  Moves registry;
  REQUIRE(registry.push(one, {"latest", "a1b2c3d", "20240131", "1.4.2", "build-20240131"}).empty());
  const auto next = rules(
      "tag_rules:\n"
      "  - {name: i, tags: [\"@semver\"], mutability: immutable}\n"
      "  - {name: m, tags: [\"build-*\"], mutability: mutable}\n");
  const auto trial = sync_wait(PolicyTrials(registry.context()).run(next, registry.clock.now()));
  REQUIRE(trial.has_value());
  std::vector<std::string> listed;
  for (const auto& tag : trial->uncovered) listed.push_back(tag.tag + " " + tag.shape);
  CHECK(listed == std::vector<std::string>{"20240131 date", "a1b2c3d commit"});
  CHECK(trial->tags_uncovered == 2);
  const auto all = rules("default: {mutability: immutable}\n");
  CHECK(sync_wait(PolicyTrials(registry.context()).run(all, registry.clock.now()))->uncovered.empty());
}

TEST_CASE("policy trial: it needs none of the threads that answer pulls") {
  Moves registry;
  REQUIRE(registry.push(one, {"1.0.0"}).empty());
  std::promise<void> ended;
  const std::shared_future<void> end = ended.get_future().share();
  const auto wait = [end] { end.wait(); };
  auto first = registry.db.start(wait), second = registry.db.start(wait);  // all that it has
  const auto trial = sync_wait(PolicyTrials(registry.context())
                                   .run(rules("default: {mutability: immutable}\n"), registry.clock.now()));
  ended.set_value();
  CHECK(trial.has_value());
}

TEST_CASE("policy trial: tags that change class, and changes that would have been refused") {
  Moves registry;
  REQUIRE(registry.push(one, {"latest", "fixed", "log"}).empty());
  registry.clock.advance(60);
  const Timestamp since = registry.clock.now();
  REQUIRE(registry.push(two, {"latest", "fixed", "log"}).empty());
  REQUIRE(registry.push(one, {"latest", "fixed", "log"}).empty());
  REQUIRE(registry.push(one, {"latest"}, "b").empty());
  REQUIRE(registry.remove("fixed").empty());
  const auto next = rules(
      "tag_rules:\n"
      "  - {name: f, tags: [latest], mutability: forward-only}\n"
      "  - {name: i, tags: [fixed], mutability: immutable}\n"
      "  - {name: l, tags: [log], mutability: append-only}\n");
  const auto trial = sync_wait(PolicyTrials(registry.context()).run(next, since));
  REQUIRE(trial.has_value());
  CHECK(trial->tags == 3);
  CHECK(trial->tags_changed == 3);
  REQUIRE(trial->changed.size() == 3);
  CHECK(trial->changed[0].old_mutability == "mutable");
  CHECK(trial->changed[0].new_mutability == "forward-only");
  CHECK(trial->bindings == 8);  // three moved twice, one new, one deleted
  std::vector<std::string> reasons;
  for (const auto& refused : trial->refused) reasons.push_back(refused.tag + " " + refused.reason);
  CHECK(reasons == std::vector<std::string>{"fixed TAG_IMMUTABLE", "latest TAG_FORWARD_ONLY",
                                            "fixed TAG_IMMUTABLE", "log TAG_APPEND_ONLY",
                                            "fixed TAG_DELETE_DENIED"});
  CHECK(registry.points_to("log") == digest_of(one));
  CHECK(registry.push(two, {"log"}).empty());  // nothing of it is in force

  REQUIRE(registry.push(one, {"log"}).empty());
  REQUIRE(registry.remove(digest_of(two).str()).empty());
  const auto later = sync_wait(PolicyTrials(registry.context()).run(next, since));
  CHECK(later->undecided > 0);
}

}  // namespace
}  // namespace stele
