// What users of other registries ran into: images as trees, plans and the trash (docs/lifecycle.md).

#include "registry/trash.hpp"
#include "tests/unit/gc/lifecycle_field.hpp"

namespace stele {
namespace {

using namespace field_test;

TEST_CASE("field L6: the platforms and attestations of an index that stays are no untagged manifests (I2)") {
  LifecycleFixture fixture(
      rules("    keep: [{tags: [v1]}]\n"
            "    expire: [{untagged: true, older_than: 1d}, {everything_else: true}]\n"));
  const Digest a = fixture.push("a", ""), b = fixture.push("b", ""),
               attestation = fixture.push("attestation", "");
  const Digest index = fixture.push_index({a, b, attestation}, "v1");
  const Digest lost = fixture.push("lost", "");
  fixture.pass(20 * day);
  CHECK(fixture.run().removed == 1);
  for (const Digest& kept : {index, a, b, attestation}) CHECK(fixture.has(kept));
  CHECK_FALSE(fixture.has(lost));
  fixture.settle();
  collect_all(fixture);
  for (const char* const note : {"a", "b", "attestation"})
    CHECK(fixture.registry->blob(name("a"), rules_test::digest_of("layer of " + std::string(note)))
              .has_value());
}

TEST_CASE("field L14: the newest N are N builds, whatever belongs to each of them (I2)") {
  LifecycleFixture fixture(
      rules("    keep: [{tags: [\"build-*\"], newest_pushed: 3}]\n    expire: [{everything_else: true}]\n"));
  std::vector<std::vector<Digest>> builds;
  for (int i = 0; i < 5; ++i) {
    const std::string n = std::to_string(i);
    const Digest amd = fixture.push("amd " + n, ""), arm = fixture.push("arm " + n, "");
    const Digest proof = fixture.push("proof " + n, ""), other = fixture.push("other proof " + n, "");
    const Digest index = fixture.push_index({amd, arm, proof, other}, "build-" + n);
    const Digest signature = fixture.push("signature " + n, "sha256-" + index.str().substr(7) + ".sig");
    const Digest sbom = fixture.push("sbom " + n, "", "a", index.str());
    builds.push_back({amd, arm, proof, other, index, signature, sbom});
    fixture.pass(hour);
  }
  fixture.settle();
  CHECK(fixture.run().removed == 14);
  for (std::size_t i = 0; i < builds.size(); ++i) {
    for (const Digest& part : builds[i]) CHECK(fixture.has(part) == (i >= 2));
  }
}

TEST_CASE("field L29: what refers to an image lives and dies with it, unless its own tag keeps it (I2)") {
  LifecycleFixture fixture(rules("    expire: [{tags: [\"pr-*\"], older_than: 14d}]\n"));
  const Digest gone = fixture.push("gone", "pr-1");
  const Digest sbom = fixture.push("sbom", "", "a", gone.str());
  const Digest signature = fixture.push("signature of the sbom", "", "a", sbom.str());
  const Digest named = fixture.push("report", "report-1", "a", gone.str());
  const Digest kept = fixture.push("kept", "main");
  const Digest kept_sbom = fixture.push("sbom of kept", "", "a", kept.str());
  const Digest kept_signature = fixture.push("signature of that", "", "a", kept_sbom.str());
  const Digest absent = rules_test::digest_of("an image that never came");
  const Digest early = fixture.push("early", "", "a", absent.str());
  fixture.pass(20 * day);
  CHECK(fixture.run().removed == 3);
  for (const Digest& digest : {gone, sbom, signature}) CHECK_FALSE(fixture.has(digest));
  for (const Digest& digest : {named, kept, kept_sbom, kept_signature, early}) CHECK(fixture.has(digest));
}

TEST_CASE("field L31: of a thousand tags on one image all go that are due, each with its record (I4)") {
  LifecycleFixture fixture(rules("    expire: [{tags: [\"ci-*\"], older_than: 14d}]\n"));
  const Digest image = fixture.push("image", "main");
  const std::string bytes = fixture.image("image");
  const auto manifest = Manifest::parse(media_type::oci_manifest, bytes);
  for (int i = 0; i < 999; i += 27) {
    std::vector<Tag> tags;
    for (int j = i; j < i + 27; ++j) tags.push_back(tag("ci-" + std::to_string(j)));
    REQUIRE(
        sync_wait(fixture.registry->put_manifest(ManifestPush{name("a"), Reference(image), tags, *manifest,
                                                              bytes, DigestAlgorithm::sha256, fixture.actor}))
            .has_value());
  }
  fixture.pass(20 * day);
  const catalog::RunRow run = fixture.run();
  CHECK(run.untagged == 999);
  CHECK(run.removed == 0);
  CHECK(fixture.count("tags") == 1);
  CHECK(fixture.count("events WHERE action = 'tag.expire'") == 999);
  CHECK(fixture.has(image));
}

TEST_CASE("lifecycle: what is pushed anew has no pulls of what is gone (I8)") {
  LifecycleFixture fixture(rules("    keep: [{pulled_within: 1d}]\n    expire: [{everything_else: true}]\n"));
  fixture.push("kept", "main");
  const Digest pulled = fixture.push("pulled", "pr-1");
  REQUIRE(fixture.pull(tag("pr-1")));
  REQUIRE(
      sync_wait(fixture.registry->delete_manifest(name("a"), Reference(pulled), fixture.actor)).has_value());
  fixture.push("other", "pr-2");
  fixture.pass(hour);
  CHECK(item(fixture.plan(), "pr-2").verdict == Verdict::expire);
}

TEST_CASE("field S1: a plan for a time to come shows what goes then, and changes nothing (I5)") {
  LifecycleFixture fixture(
      rules("    expire: [{tags: [\"pr-*\"], older_than: 14d}, {tags: [\"old-*\"], not_pulled_for: 30d}]\n"));
  fixture.push("image", "pr-1");
  fixture.push("old", "old-1");
  fixture.pass(hour);
  const auto all = policy::PatternList::compile({"**"}).value();
  const auto expiring = [&](std::int64_t seconds) {
    const auto made = gc::make_plan(
        fixture.context(), *fixture.policy.current(), all,
        [](const gc::PlannedItem&) -> Result<void> { return {}; }, fixture.clock.now() + seconds * 1'000'000);
    REQUIRE(made.has_value());
    CHECK(made->at == fixture.clock.now() + seconds * 1'000'000);
    return made->expiring;
  };
  CHECK(expiring(0) == 0);
  CHECK(expiring(14 * day - hour - 1) == 0);
  CHECK(expiring(14 * day - hour) == 1);
  CHECK(expiring(31 * day) == 2);
  CHECK(fixture.plan().summary.expiring == 0);
  CHECK(fixture.count("trash") == 0);
  const auto past = gc::make_plan(
      fixture.context(), *fixture.policy.current(), all,
      [](const gc::PlannedItem&) -> Result<void> { return {}; }, fixture.clock.now() + -day * 1'000'000);
  REQUIRE_FALSE(past.has_value());
  CHECK(past.error().code() == Errc::parameter_invalid);
  // What is planned for a day is what goes on that day.
  fixture.pass(31 * day);
  CHECK(fixture.run().removed == 2);
}

TEST_CASE(
    "field L26: what is in the trash is there for nobody, and comes out of it whole when pushed again (I2, "
    "I3)") {
  LifecycleFixture fixture(rules("    expire: [{tags: [\"1\", \"pr-*\"], older_than: 14d}]\n",
                                 "max_fraction: 1.0, keep_last: 0, trash_for: 14d"));
  const Timestamp pushed = fixture.clock.now();
  const Digest image = fixture.push("image", "1");
  const Digest sbom = fixture.push("sbom", "", "a", image.str());
  fixture.push("kept", "main");
  fixture.pass(20 * day);
  const catalog::RunRow run = fixture.run();
  REQUIRE(run.removed == 2);
  // GET and HEAD are the same look; tags and referrers do not list it.
  for (const Reference& reference : {Reference(tag("1")), Reference(image), Reference(sbom)})
    CHECK_FALSE(sync_wait(fixture.registry->manifest(name("a"), reference)).has_value());
  CHECK(sync_wait(fixture.registry->tags(name("a"), "", 9))->names == std::vector<std::string>{"main"});
  CHECK(fixture.count("trash WHERE media_type IS NOT NULL") == 2);

  fixture.pass(3 * day);
  REQUIRE(fixture.push("image", "2") == image);
  CHECK(fixture.count("manifests WHERE digest = '" + image.str() +
                      "' AND created_at = " + std::to_string(pushed.microseconds)) == 1);
  // Out of the trash, but for the name that it had; what it counted there is gone.
  CHECK(fixture.count("trash WHERE digest = '" + image.str() + "' AND media_type IS NULL") == 1);
  CHECK(fixture.count("trash WHERE media_type IS NOT NULL") == 1);
  CHECK(fixture.count("repository_usage WHERE trash_manifests = 1") == 1);
  CHECK(item(fixture.plan(), "2").verdict == Verdict::keep);

  SECTION("restored: the name comes back, since it is free; and the SBOM with its run") {
    const auto restored =
        sync_wait(Trash(fixture.context()).restore_run(Restoration{run.id, false, fixture.actor}));
    REQUIRE(restored.has_value());
    CHECK(fixture.has_tag("1"));
    CHECK(fixture.has(sbom));
    CHECK(fixture.count("trash") == 0);
  }
  SECTION("restored: not over a name that was bound anew") {
    fixture.push("other", "1");
    const auto restored =
        sync_wait(Trash(fixture.context()).restore_run(Restoration{run.id, false, fixture.actor}));
    REQUIRE(restored.has_value());
    CHECK(restored->refused == 1);
    CHECK(fixture.has_tag("2"));
  }
  SECTION("erased: what was pushed again stays pullable, bytes and all") {
    fixture.pass(15 * day);
    fixture.settle();
    while (sync_wait(Trash(fixture.context()).erase_due(50))->items > 0) {
    }
    CHECK(fixture.count("trash") == 0);
    fixture.settle();
    collect_all(fixture);
    const auto found = sync_wait(fixture.registry->manifest(name("a"), Reference(tag("2"))));
    REQUIRE(found.has_value());
    CHECK(fixture.registry->blob(name("a"), rules_test::digest_of("layer of image")).has_value());
  }
}

TEST_CASE("field L26: pushed again by digest alone, it is as young as that push") {
  LifecycleFixture fixture(rules("    expire: [{untagged: true, older_than: 7d}]\n"));
  const Digest image = fixture.push("image", "");
  fixture.push("kept", "main");
  fixture.pass(8 * day);
  REQUIRE(fixture.run().removed == 1);
  REQUIRE(fixture.push("image", "") == image);
  CHECK(fixture.count("trash") == 0);  // it had no name
  fixture.settle();
  CHECK(item(fixture.plan(), "", image.str()).verdict == Verdict::keep);
  fixture.pass(7 * day);
  CHECK(item(fixture.plan(), "", image.str()).verdict == Verdict::expire);
}

TEST_CASE("field L27: retention and trash together: the bytes go, usage falls, and why tells (I5)") {
  LifecycleFixture fixture(rules("    expire: [{untagged: true, older_than: 1d}]\n",
                                 "max_fraction: 1.0, keep_last: 0, trash_for: 2d"));
  const Digest image = fixture.push("image", "");
  fixture.push("kept", "main");
  const Digest layer = rules_test::digest_of("layer of image");
  fixture.pass(day + hour);
  const catalog::RunRow run = fixture.run();
  REQUIRE(run.removed == 1);
  CHECK(fixture.blobs->open(layer).has_value());
  fixture.pass(2 * day + hour);
  REQUIRE(sync_wait(Trash(fixture.context()).erase_due(50))->items == 1);
  fixture.settle();
  collect_all(fixture);
  CHECK_FALSE(fixture.blobs->open(layer).has_value());
  CHECK(fixture.count("departures WHERE digest = '" + image.str() +
                      "' AND run_id = " + std::to_string(run.id)) == 1);
}

}  // namespace
}  // namespace stele
