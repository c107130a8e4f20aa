// Plans, and what becomes of them when they are applied later.

#include <thread>

#include "storage/catalog/trash.hpp"
#include "tests/unit/gc/lifecycle_fixture.hpp"

namespace stele {
namespace {

using lifecycle_test::day;
using lifecycle_test::LifecycleFixture;
using lifecycle_test::name;
using lifecycle_test::old_prs;
using lifecycle_test::tag;

TEST_CASE("lifecycle: a plan is applied as far as it is still due, and never more than it says") {
  LifecycleFixture fixture(old_prs);
  const Digest first = fixture.push("first", "pr-1");
  const Digest second = fixture.push("second", "pr-2");
  fixture.pass(15 * day);
  auto plan = fixture.plan();
  CHECK(plan.summary.expiring == 2);
  SECTION("what came due later is not in it") {
    const Digest third = fixture.push("third", "pr-3");
    fixture.pass(15 * day);
    const auto done = sync_wait(fixture.runs().apply(plan.approved, fixture.actor));
    REQUIRE(done.has_value());
    CHECK(done->run.removed == 2);
    CHECK(done->run.plan_hash == plan.summary.hash);
    CHECK(fixture.has(third));
  }
  SECTION("what is taken out of it stays, with what hangs from it") {
    const Digest sbom = fixture.push("sbom", "", "a", second.str());
    fixture.settle();
    plan = fixture.plan();
    plan.approved.items["a"].erase({"pr-2", second.str()});
    const auto done = sync_wait(fixture.runs().apply(plan.approved, fixture.actor));
    REQUIRE(done.has_value());
    CHECK(done->run.removed == 1);
    CHECK_FALSE(fixture.has(first));
    CHECK(fixture.has(second));
    CHECK(fixture.has(sbom));
  }
  SECTION("a name that is taken out of it stays, also beside one that goes from the same manifest") {
    for (const char* name : {"main", "pr-8", "pr-9"})
      REQUIRE(fixture.put(fixture.image("shared"), name).has_value());
    fixture.pass(15 * day);
    plan = fixture.plan();
    std::erase_if(plan.approved.items["a"], [](const auto& item) { return item.first == "pr-9"; });
    const auto done = sync_wait(fixture.runs().apply(plan.approved, fixture.actor));
    REQUIRE(done.has_value());
    CHECK_FALSE(fixture.has_tag("pr-8"));
    CHECK(fixture.has_tag("pr-9"));
  }
  SECTION("an entry that somebody looked at keeps its index, also if the plan does not name the entry (I5)") {
    const Digest child = fixture.push("child", "");
    const Digest index = fixture.push_index({child}, "pr-3");
    fixture.pass(15 * day);
    plan = fixture.plan();
    REQUIRE(plan.approved.items["a"].erase({"", child.str()}) == 1);
    REQUIRE(sync_wait(fixture.registry->manifest(name("a"), child)).has_value());
    REQUIRE(sync_wait(fixture.runs().apply(plan.approved, fixture.actor)).has_value());
    CHECK(fixture.has(index));
    CHECK_FALSE(fixture.has(second));
  }
  SECTION("another policy is in force by now") {
    fixture.load(std::string(old_prs) + "# changed\n");
    const auto refused = sync_wait(fixture.runs().apply(plan.approved, fixture.actor));
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code() == Errc::parameter_invalid);
    CHECK(fixture.has(first));
  }
}

TEST_CASE("lifecycle: two plans at once: each is carried out once or refused, nothing twice (I4)") {
  LifecycleFixture fixture(old_prs);
  fixture.push("first", "pr-1");
  fixture.push("second", "pr-2");
  fixture.pass(15 * day);
  const auto plan = fixture.plan();
  std::atomic<int> done{0}, refused{0};
  std::atomic<std::int64_t> removed{0};
  fixture.runs();
  const auto apply = [&] {
    const auto outcome = sync_wait(fixture.runs().apply(plan.approved, fixture.actor));
    if (outcome) removed += outcome->run.removed;
    (outcome ? done : refused)++;
  };
  std::thread one(apply), two(apply);
  one.join();
  two.join();
  CHECK(done >= 1);
  CHECK(done + refused == 2);
  CHECK(removed == 2);
  CHECK(fixture.count("trash") == 2);
}

TEST_CASE("lifecycle: what was used since its plan was made stays, also when its lease is over (I5)") {
  LifecycleFixture fixture(old_prs);
  const Digest used = fixture.push("used", "pr-1");
  const Digest sbom = fixture.push("sbom", "", "a", used.str());
  const Digest child = fixture.push("child", "");
  const Digest index = fixture.push_index({child}, "pr-2");
  const Digest lost = fixture.push("lost", "");
  const Digest idle = fixture.push("idle", "pr-3");
  fixture.pass(15 * day);
  const auto plan = fixture.plan();
  CHECK(plan.summary.expiring == 6);
  fixture.settle();
  // No rule asks for pulls, and everything is due again by the time of the application.
  const auto apply = [&] {
    fixture.pass(15 * day);
    CHECK(fixture.plan().summary.expiring == plan.summary.expiring);
    const auto done = sync_wait(fixture.runs().apply(plan.approved, fixture.actor));
    REQUIRE(done.has_value());
    CHECK_FALSE(fixture.has(idle));
    return done->run;
  };
  SECTION("nothing was used: all of it goes") {
    CHECK(apply().removed == 6);
  }
  SECTION("pulled: it stays with what refers to it") {
    REQUIRE(fixture.pull(tag("pr-1")));
    const catalog::RunRow run = apply();
    CHECK(run.removed == 4);
    CHECK(run.survived == 2);
    CHECK(fixture.has_tag("pr-1"));
    CHECK(fixture.has(sbom));
    CHECK(run.message.find(used.str() + ": it was used since the plan was made") != std::string::npos);
    // A new plan knows of the pull, and nothing happened since.
    REQUIRE(sync_wait(fixture.runs().apply(fixture.plan().approved, fixture.actor)).has_value());
    CHECK_FALSE(fixture.has(used));
  }
  SECTION("pulled by somebody whose pulls do not count: it goes") {
    REQUIRE(fixture.pull(tag("pr-1"), "a", Principal("robot:scanner")));
    CHECK(apply().removed == 6);
  }
  SECTION("pulls may have been lost: all of it may have been used") {
    fixture.restart();  // the table is in memory: as after a power cut, what it knew is gone
    REQUIRE(fixture.pulls->flush().has_value());
    fixture.settle();
    const auto done = sync_wait(fixture.runs().apply(plan.approved, fixture.actor));
    REQUIRE(done.has_value());
    CHECK(done->run.removed == 0);
    CHECK(fixture.run().removed == 6);
  }
  SECTION("an entry was pulled: its index stays") {
    REQUIRE(fixture.pull(child));
    CHECK(apply().removed == 4);
    CHECK(fixture.has(index));
    CHECK(fixture.has(child));
    CHECK(fixture.has_tag("pr-2"));
  }
  SECTION("moved away and back") {
    const Digest other = fixture.push("other", "pr-1");
    fixture.push("used", "pr-1");
    REQUIRE(sync_wait(fixture.registry->delete_manifest(name("a"), other, fixture.actor)).has_value());
    CHECK(apply().removed == 4);
    CHECK(fixture.has_tag("pr-1"));
  }
  SECTION("untagged, tagged, and untagged again") {
    fixture.push("lost", "pr-9");
    REQUIRE(sync_wait(fixture.registry->delete_manifest(name("a"), tag("pr-9"), fixture.actor)).has_value());
    CHECK(apply().removed == 5);
    CHECK(fixture.has(lost));
  }
}

TEST_CASE("lifecycle: a name stays if its image was used since the plan, also where the image stays anyway") {
  LifecycleFixture fixture(old_prs);
  fixture.push("image", "pr-1");
  fixture.push("image", "main");
  fixture.pass(15 * day);
  const auto plan = fixture.plan();
  CHECK(plan.summary.expiring == 1);
  fixture.settle();
  REQUIRE(fixture.pull(tag("main")));
  fixture.settle();
  const auto done = sync_wait(fixture.runs().apply(plan.approved, fixture.actor));
  REQUIRE(done.has_value());
  CHECK(done->run.untagged == 0);
  CHECK(done->run.survived == 1);
  CHECK(fixture.has_tag("pr-1"));
}

TEST_CASE("lifecycle: a plan of a time to come is refused, since nothing would count as used since") {
  LifecycleFixture fixture(old_prs);
  const Digest image = fixture.push("image", "pr-1");
  fixture.pass(15 * day);
  auto plan = fixture.plan();
  plan.approved.made_at = fixture.clock.now() + 1;
  const auto refused = sync_wait(fixture.runs().apply(plan.approved, fixture.actor));
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code() == Errc::parameter_invalid);
  CHECK(fixture.has(image));
}

}  // namespace
}  // namespace stele
