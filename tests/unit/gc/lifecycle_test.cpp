#include "tests/unit/gc/lifecycle_fixture.hpp"

#include <thread>

#include "registry/expiry.hpp"
#include "storage/catalog/trash.hpp"

namespace stele {
namespace {

using lifecycle_test::day;
using lifecycle_test::lease;
using lifecycle_test::LifecycleFixture;
using lifecycle_test::name;
using lifecycle_test::tag;
using policy::Verdict;

const char* const old_prs = R"(
lifecycle: {max_fraction: 1.0, keep_last: 0, ignore_pulls_by: ["robot:scanner"]}
lifecycle_rules:
  - name: ci
    expire:
      - {tags: ["pr-*"], older_than: 14d}
      - {untagged: true, older_than: 7d}
)";

// What a run does between judging a repository and carrying it out, with something happening in between.
template <class Between>
Expired judged_then(LifecycleFixture& fixture, Between between) {
  const auto judged = gc::judge_repository(fixture.parts(), *fixture.policy.current(), name("a"));
  REQUIRE(judged.has_value());
  REQUIRE(judged->has_value());
  between();
  Expired total;
  for (gc::DepartingBatch& batch : gc::departing_batches(**judged, std::nullopt, 50)) {
    ExpiryBatch expiring{name("a"),
                         std::move(batch.manifests),
                         std::move(batch.edges),
                         (*judged)->view.seen,
                         7,
                         fixture.clock.now() + 14 * day * 1'000'000,
                         fixture.policy.current()->hash(),
                         fixture.actor};
    const auto expired = sync_wait(expire(fixture.parts(), std::move(expiring)));
    INFO((expired ? std::string() : expired.error().message()));
    REQUIRE(expired.has_value());
    total.removed += expired->removed;
    total.untagged += expired->untagged;
    total.survived += expired->survived;
    for (const std::string& reason : expired->reasons) total.reasons.push_back(reason);
  }
  return total;
}

TEST_CASE("lifecycle: a plan changes nothing, and a run removes just what it said") {
  LifecycleFixture fixture(old_prs);
  const Digest old_image = fixture.push("old", "pr-1");
  const Digest child = fixture.push("child", "");
  const Digest index = fixture.push_index({child}, "pr-2");
  const Digest sbom = fixture.push("sbom", "", "a", index.str());
  const Digest signature = fixture.push("signature", "sha256-" + index.str().substr(7) + ".sig");
  const Digest release = fixture.push("release", "1.4.2");
  fixture.pass(15 * day);
  const Digest fresh = fixture.push("fresh", "pr-3");
  fixture.settle();

  const std::int64_t events = fixture.count("events");
  const auto plan = fixture.plan();
  CHECK(fixture.count("events") == events);
  CHECK(fixture.count("trash") == 0);
  CHECK(plan.summary.repositories == 1);
  CHECK(plan.summary.manifests == 7);
  // The two tags, the signature's, the child and the SBOM.
  CHECK(plan.summary.expiring == 5);
  CHECK(plan.summary.frees_bytes > 0);
  CHECK(fixture.plan().summary.hash == plan.summary.hash);

  const catalog::RunRow run = fixture.run();
  CHECK(run.removed == 5);
  CHECK(run.untagged == 3);
  CHECK(run.survived == 0);
  CHECK(run.bytes == plan.summary.frees_bytes);
  for (const Digest& gone : {old_image, child, index, sbom, signature}) CHECK_FALSE(fixture.has(gone));
  CHECK(fixture.has(release));
  CHECK(fixture.has(fresh));
  CHECK(fixture.has_tag("1.4.2"));
  CHECK(fixture.has_tag("pr-3"));
  CHECK(fixture.count("trash WHERE media_type IS NOT NULL") == 5);
  CHECK(fixture.count("trash_tags") == 3);
  CHECK(fixture.count("departures WHERE run_id = " + std::to_string(run.id)) == 5);
  CHECK(fixture.count("events WHERE action = 'manifest.expire' AND rule = 'ci'") == 5);
  CHECK(fixture.count("events WHERE action = 'tag.expire'") == 3);
  CHECK(fixture.count("tag_history WHERE tag = 'pr-1' AND digest IS NULL") == 1);
  // Nothing is due any more.
  CHECK(fixture.plan().summary.expiring == 0);
  CHECK(fixture.run().removed == 0);
}

TEST_CASE("lifecycle: nothing is removed without a rule, within a lease of the start, or while paused (I5)") {
  LifecycleFixture fixture("");
  fixture.push("old", "pr-1");
  fixture.pass(1000 * day);
  CHECK(fixture.run().removed == 0);
  fixture.load(old_prs);
  fixture.stop_runs();
  RegistryFixture other;  // just started
  const auto loaded = policy::load_policy(std::string("version: 1") + old_prs, "policy.yaml");
  REQUIRE(loaded.policy);
  other.policy.replace(loaded.policy);
  gc::LifecycleRuns runs(other.parts());
  const auto refused = sync_wait(runs.run(other.actor));
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code() == Errc::unavailable);
  CHECK(refused.error().message().find("gc.lease") != std::string::npos);
  CHECK(fixture.run().removed == 1);
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
    const Retention retention(fixture.parts());
    const Expired done = judged_then(fixture, [&] {
      REQUIRE(
          sync_wait(retention.set_hold(NewHold{"trial", "1/26", "court", name("a"), child, fixture.actor}))
              .has_value());
    });
    CHECK(done.removed == 0);
    CHECK(done.survived == 3);
  }
  SECTION("in use") {
    const InUse in_use(fixture.parts());
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

TEST_CASE("lifecycle: a child of two indexes goes with the last one (I2)") {
  LifecycleFixture fixture(old_prs);
  const Digest child = fixture.push("child", "");
  fixture.push_index({child}, "pr-1");
  fixture.pass(10 * day);
  const Digest later = fixture.push_index({child, fixture.push("other", "")}, "pr-2");
  fixture.pass(5 * day);
  CHECK(fixture.run().removed == 1);
  CHECK(fixture.has(child));
  fixture.pass(10 * day);
  CHECK(fixture.run().removed == 3);
  CHECK_FALSE(fixture.has(child));
  CHECK_FALSE(fixture.has(later));
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

TEST_CASE("lifecycle: a .sig tag of a kept and of an expired image") {
  LifecycleFixture fixture(old_prs);
  const Digest kept = fixture.push("kept", "1.0.0");
  const Digest expired = fixture.push("expired", "pr-1");
  const auto sign = [&](const Digest& image) {
    const std::string signature = "sha256-" + image.str().substr(7) + ".sig";
    fixture.push("signature of " + image.str(), signature);
    return signature;
  };
  const std::string of_kept = sign(kept), of_expired = sign(expired);
  fixture.pass(15 * day);
  CHECK(fixture.run().removed == 2);
  CHECK(fixture.has_tag(of_kept));
  CHECK_FALSE(fixture.has_tag(of_expired));
  CHECK(fixture.has(kept));
}

TEST_CASE("lifecycle: the signature of a kept sha512 image stays, however its tag cuts the digest") {
  // A rule that names signatures reaches those alone that sign nothing that is here.
  LifecycleFixture fixture(R"(
lifecycle: {max_fraction: 1.0, keep_last: 0}
lifecycle_rules:
  - {name: signatures of nothing, expire: [{tags: ["@signature"], older_than: 14d}]}
)");
  const std::string bytes = fixture.image("kept", "a", "");
  const Digest kept = Digest::of(DigestAlgorithm::sha512, bytes);
  const auto parsed = Manifest::parse(media_type::oci_manifest, bytes).value();
  REQUIRE(
      sync_wait(fixture.registry->put_manifest(ManifestPush{
                    name("a"), kept, {tag("1.0.0")}, parsed, bytes, DigestAlgorithm::sha512, fixture.actor}))
          .has_value());
  const std::string hex(kept.hex());
  const std::string specified = "sha512-" + hex.substr(0, 64) + ".sig",
                    longest = "sha512-" + hex.substr(0, 121),
                    foreign = "sha512-" + hex.substr(0, 64) + std::string(57, '0');
  for (const std::string& signature : {specified, longest, foreign}) fixture.push(signature, signature);
  fixture.pass(15 * day);
  fixture.run();
  CHECK(fixture.has_tag(specified));
  CHECK(fixture.has_tag(longest));
  CHECK_FALSE(fixture.has_tag(foreign));  // of nothing that is here
}

TEST_CASE("lifecycle: the names go where the manifest stays") {
  LifecycleFixture fixture(old_prs);
  const Digest image = fixture.push("image", "pr-1");
  fixture.push("image", "main");
  fixture.pass(15 * day);
  const catalog::RunRow run = fixture.run();
  CHECK(run.removed == 0);
  CHECK(run.untagged == 1);
  CHECK(fixture.has(image));
  CHECK(fixture.has_tag("main"));
  CHECK_FALSE(fixture.has_tag("pr-1"));
  CHECK(fixture.count("trash WHERE media_type IS NULL") == 1);
}

TEST_CASE("lifecycle: an immutable tag goes only where its rule allows it, and its name stays bound (I3)") {
  const std::string rules = R"(
tag_rules:
  - {name: ci, repositories: ["a"], tags: ["@sha"], mutability: immutable, lifecycle: allow}
  - {name: releases, tags: ["@semver", "@sha"], mutability: immutable}
lifecycle: {max_fraction: 1.0, keep_last: 0}
lifecycle_rules:
  - {name: all, expire: [{everything_else: true}]}
)";
  LifecycleFixture fixture(rules);
  const Digest commit = fixture.push("commit", "sha-a1b2c3d");
  const Digest release = fixture.push("release", "1.4.2");
  fixture.settle();
  const auto plan = fixture.plan();
  CHECK(plan.summary.blocked == 1);
  const catalog::RunRow run = fixture.run();
  CHECK(run.removed == 1);
  CHECK(run.blocked == 1);
  CHECK_FALSE(fixture.has(commit));
  CHECK(fixture.has(release));
  const auto refused = fixture.put(fixture.image("another"), "sha-a1b2c3d");
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code() == Errc::refused_by_policy);
  CHECK(fixture.put(fixture.image("commit"), "sha-a1b2c3d").has_value());
}

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
  const auto eventually = [&](std::int64_t runs) {
    for (int i = 0; i < 500 && scheduled() < runs; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    return scheduled();
  };
  fixture.runs();
  CHECK(eventually(0) == 0);
  const std::int64_t of_day = fixture.clock.now().microseconds / 1'000'000 % day;
  fixture.pass(day - of_day + 3 * 3600 + 60);  // 03:01
  CHECK(eventually(1) == 1);
  fixture.pass(3600);
  CHECK(eventually(1) == 1);
  CHECK(fixture.has_tag("pr-1"));
  fixture.pass(20 * day);
  CHECK(eventually(2) == 2);
  CHECK_FALSE(fixture.has_tag("pr-1"));
  fixture.pass(day + 8 * 3600);  // noon: due, and the window is closed
  CHECK(eventually(2) == 2);
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

TEST_CASE("lifecycle: labels select by annotations and by the image's configuration") {
  LifecycleFixture fixture(R"(
lifecycle: {max_fraction: 1.0, keep_last: 0}
lifecycle_rules:
  - {name: throwaway, expire: [{tags: ["*"], label: {n: "throw*"}}]}
)");
  const Digest gone = fixture.push("throwaway", "x");
  const Digest kept = fixture.push("keep", "y");
  fixture.settle();
  const catalog::RunRow run = fixture.run();
  CHECK(run.removed == 1);
  CHECK_FALSE(fixture.has(gone));
  CHECK(fixture.has(kept));
}

}  // namespace
}  // namespace stele
