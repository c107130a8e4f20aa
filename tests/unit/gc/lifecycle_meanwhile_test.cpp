// What is done to an image between its judgement and its turn keeps it, and what has to stay with it (I5).

#include "tests/unit/gc/lifecycle_fixture.hpp"

#include "registry/expiry.hpp"

namespace stele {
namespace {

using lifecycle_test::day;
using lifecycle_test::LifecycleFixture;
using lifecycle_test::name;
using lifecycle_test::old_prs;
using lifecycle_test::tag;

// What a run does between judging a repository and carrying it out, with something happening in between.
template <class Between>
Expired judged_then(LifecycleFixture& fixture, Between between) {
  const auto judged = gc::judge_repository(fixture.context(), *fixture.policy.current(), name("a"));
  REQUIRE(judged.has_value());
  REQUIRE(judged->has_value());
  between();
  Expired total;
  auto batches = gc::departing_batches(**judged, std::nullopt, 500);
  for (std::size_t next = 0; next < batches.size();) {
    gc::DepartingBatch batch = gc::take_batch(batches, next, 50);
    ExpiryBatch expiring{name("a"),
                         std::move(batch.manifests),
                         std::move(batch.edges),
                         (*judged)->view.seen,
                         7,
                         fixture.clock.now() + 14 * day * 1'000'000,
                         fixture.policy.current()->hash(),
                         fixture.actor};
    const auto expired = sync_wait(expire(fixture.context(), std::move(expiring)));
    INFO((expired ? std::string() : expired.error().message()));
    REQUIRE(expired.has_value());
    total.removed += expired->removed;
    total.untagged += expired->untagged;
    total.survived += expired->survived;
    for (const std::string& reason : expired->reasons) total.reasons.push_back(reason);
  }
  return total;
}

TEST_CASE(
    "lifecycle: tag moved back during a run, and whatever else was done to an image since it was judged "
    "(I5)") {
  LifecycleFixture fixture(old_prs);
  const Digest image = fixture.push("image", "pr-1");
  fixture.pass(15 * day);
  SECTION("another tag came") {
    const Expired done =
        judged_then(fixture, [&] { REQUIRE(fixture.put(fixture.image("image"), "keep-me").has_value()); });
    CHECK(done.removed == 0);
    CHECK(fixture.has_tag("keep-me"));
  }
  SECTION("tag moved back during a run") {
    const Expired done = judged_then(fixture, [&] {
      fixture.push("other", "pr-1");
      REQUIRE(fixture.put(fixture.image("image"), "pr-1").has_value());
    });
    CHECK(done.removed == 0);
    CHECK(fixture.has_tag("pr-1"));
  }
  SECTION("the tag moved on") {
    const Expired done = judged_then(fixture, [&] { fixture.push("other", "pr-1"); });
    CHECK(done.removed == 0);
    CHECK(fixture.has_tag("pr-1"));
  }
  SECTION("it was pulled") {
    const Expired done = judged_then(fixture, [&] { REQUIRE(fixture.pull(tag("pr-1"))); });
    CHECK(done.removed == 0);
    CHECK(done.survived == 1);
  }
  SECTION("a scanner pulled it, whose pulls do not count: it is not even leased") {
    const Expired done = judged_then(fixture, [&] {
      REQUIRE(fixture.pull(tag("pr-1"), "a", Principal("robot:scanner")));
      REQUIRE(fixture.pull(image, "a", Principal("robot:scanner")));
    });
    CHECK(done.removed == 1);
    CHECK_FALSE(fixture.has(image));
    return;
  }
  SECTION("somebody looked at it by digest") {
    const Expired done = judged_then(
        fixture, [&] { REQUIRE(sync_wait(fixture.registry->manifest(name("a"), image)).has_value()); });
    CHECK(done.removed == 0);
    // A lease later it is as before.
    fixture.settle();
    CHECK(fixture.run().removed == 1);
    return;
  }
  CHECK(fixture.has(image));
}

TEST_CASE(
    "lifecycle: what was locked, held or reported as in use since it was judged stays, and its index (I5)") {
  LifecycleFixture fixture(old_prs);
  const Digest child = fixture.push("child", "");
  const Digest other = fixture.push("other child", "");
  const Digest index = fixture.push_index({child, other}, "pr-1");
  fixture.pass(15 * day);
  SECTION("held") {
    const Retention retention(fixture.context());
    const Expired done = judged_then(fixture, [&] {
      REQUIRE(
          sync_wait(retention.set_hold(NewHold{"trial", "1/26", "court", name("a"), child, fixture.actor}))
              .has_value());
    });
    CHECK(done.removed == 0);
    CHECK(done.survived == 3);
  }
  SECTION("in use") {
    const InUse in_use(fixture.context());
    const Expired done = judged_then(fixture, [&] {
      NewInUseReport report{
          ClusterName::parse("prod").value(), {"a@" + child.str()}, 3600, false, {}, false, fixture.actor};
      REQUIRE(sync_wait(in_use.report(std::move(report))).has_value());
    });
    CHECK(done.removed == 0);
    REQUIRE_FALSE(done.reasons.empty());
    CHECK(done.reasons.front().find("cluster prod runs it") != std::string::npos);
  }
  CHECK(fixture.has(index));
  CHECK(fixture.has(child));
  CHECK(fixture.has(other));
  CHECK(fixture.plan().summary.expiring == 0);
}

TEST_CASE("lifecycle: index pushed while its child expires (I2)") {
  LifecycleFixture fixture(old_prs);
  const Digest child = fixture.push("child", "pr-1");
  fixture.pass(15 * day);
  SECTION("before the removal: the child stays") {
    const Expired done = judged_then(fixture, [&] { fixture.push_index({child}, "main"); });
    CHECK(done.removed == 0);
    CHECK(fixture.has(child));
  }
  SECTION("after it: the push is refused, and works once the child is pushed again") {
    CHECK(fixture.run().removed == 1);
    const auto refused = fixture.put(LifecycleFixture::index_of({child}), "main");
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code() == Errc::manifest_reference_unknown);
    fixture.push("child", "");
    fixture.push_index({child}, "main");
  }
  CHECK(fixture.has_tag("main"));
}

TEST_CASE("lifecycle: referrer of a dying subject") {
  LifecycleFixture fixture(old_prs);
  const Digest image = fixture.push("image", "pr-1");
  fixture.pass(15 * day);
  SECTION("pushed before the removal: both stay, and go together later") {
    Digest sbom = image;
    const Expired done = judged_then(fixture, [&] { sbom = fixture.push("sbom", "", "a", image.str()); });
    CHECK(done.removed == 0);
    CHECK(fixture.has(image));
    fixture.settle();
    CHECK(fixture.run().removed == 2);
    CHECK_FALSE(fixture.has(sbom));
  }
  SECTION("pushed after it: its subject is missing, which is allowed, and it goes by the rule for untagged") {
    CHECK(fixture.run().removed == 1);
    const Digest sbom = fixture.push("sbom", "", "a", image.str());
    CHECK(fixture.run().removed == 0);
    fixture.pass(8 * day);
    CHECK(fixture.run().removed == 1);
    CHECK_FALSE(fixture.has(sbom));
  }
}

}  // namespace
}  // namespace stele
