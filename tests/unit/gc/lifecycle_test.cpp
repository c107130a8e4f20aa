// What a run removes, by the rules and by what hangs together.

#include "storage/catalog/trash.hpp"
#include "tests/unit/gc/lifecycle_fixture.hpp"

namespace stele {
namespace {

using lifecycle_test::day;
using lifecycle_test::LifecycleFixture;
using lifecycle_test::name;
using lifecycle_test::old_prs;
using lifecycle_test::tag;

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
  gc::LifecycleRuns runs(other.context());
  const auto refused = sync_wait(runs.run(other.actor));
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code() == Errc::unavailable);
  CHECK(refused.error().message().find("gc.lease") != std::string::npos);
  CHECK(fixture.run().removed == 1);
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
