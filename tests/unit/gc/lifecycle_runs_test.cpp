// When a run begins, when it stops and asks, and what a crash leaves of it.

#include "tests/support/eventually.hpp"
#include "tests/unit/gc/lifecycle_fixture.hpp"

namespace stele {
namespace {

using lifecycle_test::day;
using lifecycle_test::LifecycleFixture;
using lifecycle_test::old_prs;
using lifecycle_test::tag;

TEST_CASE("lifecycle: a run that would remove too much of a repository stops and asks") {
  const std::string rules = R"(
lifecycle: {max_fraction: 0.5}
lifecycle_rules:
  - {name: ci, expire: [{tags: ["pr-*"], older_than: 14d}]}
)";
  LifecycleFixture fixture(rules);
  for (int i = 0; i < 3; ++i) fixture.push("image " + std::to_string(i), "pr-" + std::to_string(i));
  fixture.push("main", "main");
  fixture.push("quiet", "main", "b");
  fixture.push("old", "pr-1", "b");
  fixture.pass(15 * day);
  const auto stopped = sync_wait(fixture.runs().run(fixture.actor));
  REQUIRE(stopped.has_value());
  CHECK(stopped->run.state == "waiting");
  CHECK(stopped->run.removed == 1);  // in the other repository
  REQUIRE(stopped->waiting.size() == 1);
  CHECK(stopped->waiting.front().repository == "a");
  CHECK(fixture.count("tags") == 5);
  SECTION("approved") {
    fixture.push("late", "pr-9");
    fixture.pass(15 * day);
    const auto done = sync_wait(fixture.runs().approve(stopped->run.id, fixture.actor));
    REQUIRE(done.has_value());
    CHECK(done->run.state == "done");
    CHECK(done->run.removed == 3);
    CHECK(fixture.has_tag("pr-9"));  // nobody was asked about it
    CHECK(fixture.runs().find(stopped->run.id)->run.state == "done");
    CHECK_FALSE(sync_wait(fixture.runs().approve(stopped->run.id, fixture.actor)).has_value());
  }
  SECTION("approved, and used since it asked: that stays (I5)") {
    fixture.settle();
    REQUIRE(fixture.pull(tag("pr-1")));
    fixture.settle();
    const auto done = sync_wait(fixture.runs().approve(stopped->run.id, fixture.actor));
    REQUIRE(done.has_value());
    CHECK(done->run.removed == 2);
    CHECK(fixture.has_tag("pr-1"));
    CHECK_FALSE(fixture.has_tag("pr-0"));
  }
  SECTION("dismissed") {
    const auto done = sync_wait(fixture.runs().dismiss(stopped->run.id, "no", fixture.actor));
    REQUIRE(done.has_value());
    CHECK(done->run.state == "dismissed");
    CHECK(done->waiting.empty());
    CHECK(fixture.has_tag("pr-0"));
  }
  SECTION("asked anew") {
    const auto again = sync_wait(fixture.runs().run(fixture.actor));
    REQUIRE(again.has_value());
    CHECK(again->run.state == "waiting");
    CHECK(fixture.runs().find(stopped->run.id)->run.state == "dismissed");
  }
  SECTION("a plan says so too, and is applied only where it is approved") {
    auto plan = fixture.plan();
    REQUIRE(plan.summary.stopped.size() == 1);
    CHECK(plan.summary.stopped.front().repository == "a");
    auto done = sync_wait(fixture.runs().apply(plan.approved, fixture.actor));
    REQUIRE(done.has_value());
    CHECK(done->run.state == "waiting");
    plan.approved.may_exceed = true;
    done = sync_wait(fixture.runs().apply(plan.approved, fixture.actor));
    REQUIRE(done.has_value());
    CHECK(done->run.removed == 3);
  }
}

TEST_CASE(
    "lifecycle: a run stopped by max_count leaves that repository as it is, says so, and goes on with the "
    "others (I5)") {
  LifecycleFixture fixture(R"(
lifecycle: {max_fraction: 1.0, keep_last: 0, max_count: 4}
lifecycle_rules:
  - {name: ci, expire: [{tags: ["pr-*"], older_than: 14d}]}
)");
  // Three go from a, with a platform that goes with its index; two from b are too many then; one from c is
  // the fourth; and of d only names go, which are not counted.
  const Digest child = fixture.push("child", "");
  const Digest index = fixture.push_index({child}, "pr-1");
  fixture.push("alone", "pr-2");
  const Digest first = fixture.push("first", "pr-1", "b");
  const Digest second = fixture.push("second", "pr-2", "b");
  fixture.push("last", "pr-1", "c");
  const Digest kept = fixture.push("kept", "main", "d");
  for (int i = 0; i < 5; ++i)
    REQUIRE(fixture.put(fixture.image("kept", "d"), "pr-" + std::to_string(i), "d").has_value());
  fixture.pass(15 * day);
  fixture.settle();

  const auto stopped = sync_wait(fixture.runs().run(fixture.actor));
  REQUIRE(stopped.has_value());
  INFO(stopped->run.message);
  CHECK(stopped->run.state == "waiting");
  CHECK(stopped->run.removed == 4);
  CHECK(stopped->run.untagged == 3 + 5);
  CHECK_FALSE(fixture.has(index));
  CHECK_FALSE(fixture.has(child));
  for (const Digest& digest : {first, second}) CHECK(fixture.has(digest, "b"));
  CHECK(fixture.has_tag("pr-1", "b"));
  CHECK(fixture.has_tag("pr-2", "b"));
  CHECK_FALSE(fixture.has_tag("pr-1", "c"));
  CHECK(fixture.has(kept, "d"));
  CHECK_FALSE(fixture.has_tag("pr-4", "d"));
  CHECK(fixture.count("trash t JOIN repositories r ON r.id = t.repository_id WHERE r.name = 'b'") == 0);
  // The run, its message and what waits say which safeguard it was, with the figures and the next step.
  REQUIRE(stopped->waiting.size() == 1);
  CHECK(stopped->waiting.front().repository == "b");
  const std::string words =
      "2 manifests would go, and with the 3 before them the run would remove more than max_count allows (4)";
  CHECK(stopped->waiting.front().reason.find(words) == 0);
  CHECK(stopped->waiting.front().reason.find("stele lifecycle approve") != std::string::npos);
  CHECK(stopped->run.message.find("b: waits: " + words) != std::string::npos);

  SECTION("approved: all that it asked about goes, whatever max_count says") {
    const auto done = sync_wait(fixture.runs().approve(stopped->run.id, fixture.actor));
    REQUIRE(done.has_value());
    CHECK(done->run.state == "done");
    CHECK(done->run.removed == 2);
    CHECK_FALSE(fixture.has(first, "b"));
    CHECK(fixture.runs().find(stopped->run.id)->waiting.empty());
  }
  SECTION("the next run counts from nothing") {
    const auto done = sync_wait(fixture.runs().run(fixture.actor));
    REQUIRE(done.has_value());
    CHECK(done->run.state == "done");
    CHECK(done->run.removed == 2);
    CHECK(fixture.runs().find(stopped->run.id)->run.state == "waiting");
  }
}

TEST_CASE("lifecycle: runs by its schedule, within its windows, once for each time") {
  // The fixture's clock begins on 2027-01-15, 08:00.
  LifecycleFixture fixture(std::string(R"(
lifecycle: {schedule: "0 3 * * *", windows: ["00:00-05:00"], max_fraction: 1.0, keep_last: 0}
lifecycle_rules:
  - {name: ci, expire: [{tags: ["pr-*"], older_than: 14d}]}
)"));
  fixture.push("old", "pr-1");
  const auto scheduled = [&] { return fixture.count("lifecycle_runs WHERE started_by = 'schedule'"); };
  const auto come_to = [&](std::int64_t runs) {
    eventually([&] { return scheduled() >= runs; });
    std::this_thread::sleep_for(std::chrono::milliseconds(100));  // for one too many
    return scheduled();
  };
  fixture.runs();
  CHECK(come_to(0) == 0);
  const std::int64_t of_day = fixture.clock.now().microseconds / 1'000'000 % day;
  fixture.pass(day - of_day + 3 * 3600 + 60);  // 03:01
  CHECK(come_to(1) == 1);
  fixture.pass(3600);
  CHECK(come_to(1) == 1);
  CHECK(fixture.has_tag("pr-1"));
  fixture.pass(20 * day);
  CHECK(come_to(2) == 2);
  CHECK_FALSE(fixture.has_tag("pr-1"));
  fixture.pass(day + 8 * 3600);  // noon: due, and the window is closed
  CHECK(come_to(2) == 2);
}

TEST_CASE("lifecycle: setting the machine's clock forward removes nothing") {
  LifecycleFixture fixture(old_prs);
  fixture.push("image", "pr-1");
  fixture.settle();
  fixture.clock.advance(100 * day);
  CHECK(fixture.plan().summary.expiring == 0);
  fixture.boot.advance(100 * day);
  CHECK(fixture.plan().summary.expiring == 1);
}

TEST_CASE("lifecycle: what a crash leaves is judged anew") {
  LifecycleFixture fixture(old_prs);
  fixture.push("image", "pr-1");
  fixture.pass(15 * day);
  const auto write = [&]() -> Task<Result<std::int64_t>> {
    auto pending = fixture.writer->write({}, [&](sql::Tx& tx) -> Result<std::int64_t> {
      catalog::RunRow run;
      run.state = "running";
      run.started_by = "schedule";
      run.begun_at = fixture.clock.now();
      return catalog::insert_run(tx, run);
    });
    co_return co_await pending;
  };
  const auto id = sync_wait(write());
  REQUIRE(id.has_value());
  CHECK(fixture.run().removed == 1);
  CHECK(fixture.runs().find(*id)->run.state == "interrupted");
}

}  // namespace
}  // namespace stele
