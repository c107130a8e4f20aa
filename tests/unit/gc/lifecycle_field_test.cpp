// What users of other registries ran into with lifecycle rules: one case for each row, named after it
// (docs/lifecycle.md lists them). What the row tells is one example of its kind.

#include "tests/unit/gc/lifecycle_field.hpp"
#include "registry/tag_history.hpp"

namespace stele {
namespace {

using namespace field_test;

// A HEAD by somebody who may push, as api/ counts it.
bool head(LifecycleFixture& fixture, const std::string& wanted,
          const Principal& principal = Principal("ci")) {
  const Look look = fixture.registry->look_of(principal);
  const auto found = sync_wait(fixture.registry->manifest(name("a"), Reference(tag(wanted)), look));
  if (!found) return false;
  if (look == Look::use) {
    fixture.registry->count_pull(*found);
    fixture.registry->count_push(name("a"), tag(wanted), *found);
  }
  return true;
}

void push_by(LifecycleFixture& fixture, const Principal& principal, const std::string& note,
             const std::string& wanted) {
  const std::string bytes = fixture.image(note);
  const auto manifest = Manifest::parse(media_type::oci_manifest, bytes);
  REQUIRE(manifest.has_value());
  const audit::Actor actor{principal, "test"};
  REQUIRE(
      sync_wait(fixture.registry->put_manifest(ManifestPush{
                    name("a"), Reference(tag(wanted)), {}, *manifest, bytes, DigestAlgorithm::sha256, actor}))
          .has_value());
}

std::size_t bindings(LifecycleFixture& fixture, const std::string& wanted) {
  return static_cast<std::size_t>(fixture.count("tag_history WHERE tag = '" + wanted + "'"));
}

TEST_CASE("field L1: what a pipeline pushes again with the same bytes is as young as that push (I3, I5)") {
  LifecycleFixture fixture(rules("    expire: [{tags: [\"*\"], older_than: 30d}]\n"));
  const Digest image = fixture.push("image", "b7");
  const Digest other = fixture.push("other", "b8");
  fixture.pass(120 * day);
  CHECK(item(fixture.plan(), "b7").verdict == Verdict::expire);
  const Timestamp bound = TagHistory(fixture.context()).find(name("a"), tag("b7"))->pushed_at;

  SECTION("by PUT") {
    REQUIRE(fixture.push("image", "b7") == image);
  }
  SECTION("by HEAD of somebody who may push, not yet in the catalog") {
    REQUIRE(head(fixture, "b7"));
  }
  SECTION("by HEAD, written") {
    REQUIRE(head(fixture, "b7"));
    REQUIRE(fixture.pulls->flush().has_value());
    CHECK(fixture.pulls->pushes().of(name("a")).empty());
    CHECK(fixture.count("tags WHERE name = 'b7' AND pushed_again_at IS NOT NULL") == 1);
  }
  SECTION("by promotion within its repository") {
    const auto promoted = sync_wait(
        TagMoves(fixture.context())
            .promote(Promotion{name("a"), Reference(image), name("a"), {tag("b7")}, fixture.actor}));
    REQUIRE(promoted.has_value());
  }
  fixture.pass(hour);
  fixture.settle();
  const auto plan = fixture.plan();
  CHECK(item(plan, "b7").verdict == Verdict::keep);
  CHECK(item(plan, "b8").verdict == Verdict::expire);
  // The binding is what it was.
  CHECK(bindings(fixture, "b7") == 1);
  CHECK(TagHistory(fixture.context()).find(name("a"), tag("b7"))->pushed_at == bound);
  CHECK(fixture.run().removed == 1);
  CHECK(fixture.has(image));
  CHECK_FALSE(fixture.has(other));
  // And it grows old from there.
  fixture.pass(31 * day);
  CHECK(item(fixture.plan(), "b7").verdict == Verdict::expire);
}

TEST_CASE(
    "field L1: a HEAD counts for the digest that it found, for that tag alone, and not by who is ignored") {
  LifecycleFixture fixture(rules("    expire: [{tags: [\"*\"], older_than: 30d}]\n",
                                 "max_fraction: 1.0, keep_last: 0, ignore_pulls_by: [\"robot:watch\"]"));
  fixture.push("image", "b7");
  fixture.push("image", "c7");
  fixture.pass(31 * day);
  SECTION("that tag alone") {
    REQUIRE(head(fixture, "b7"));
    const auto plan = fixture.plan();
    CHECK(item(plan, "b7").verdict == Verdict::keep);
    CHECK(item(plan, "c7").verdict == Verdict::expire);
  }
  SECTION("the tag moved before it was written") {
    REQUIRE(head(fixture, "b7"));
    fixture.push("next", "b7");
    const Timestamp moved = fixture.clock.now();
    fixture.pass(hour);
    REQUIRE(fixture.pulls->flush().has_value());
    CHECK(fixture.count("tags WHERE name = 'b7' AND pushed_again_at IS NULL AND pushed_at = " +
                        std::to_string(moved.microseconds)) == 1);
  }
  SECTION("who is ignored, by HEAD; what they push counts") {
    REQUIRE(head(fixture, "b7", Principal("robot:watch")));
    CHECK(item(fixture.plan(), "b7").verdict == Verdict::expire);
    push_by(fixture, Principal("robot:watch"), "image", "b7");
    CHECK(item(fixture.plan(), "b7").verdict == Verdict::keep);
  }
}

TEST_CASE("field L1: ranks by push take the last push; a name that is immutable keeps its binding (I3)") {
  LifecycleFixture fixture(
      rules("    keep: [{tags: [\"b*\"], newest_pushed: 1}]\n"
            "    expire: [{everything_else: true}]\n"));
  const Digest first = fixture.push("first", "b1");
  fixture.pass(hour);
  fixture.push("second", "b2");
  const Digest release = fixture.push("release", "1.0.0");
  fixture.pass(hour);
  CHECK(item(fixture.plan(), "b1").verdict == Verdict::expire);
  fixture.push("first", "b1");
  CHECK(item(fixture.plan(), "b1").verdict == Verdict::keep);
  CHECK(item(fixture.plan(), "b2").verdict == Verdict::expire);
  REQUIRE(fixture.push("release", "1.0.0") == release);
  CHECK_FALSE(fixture.put(fixture.image("another"), "1.0.0").has_value());
  CHECK(bindings(fixture, "1.0.0") == 1);
  CHECK(item(fixture.plan(), "1.0.0").verdict == Verdict::blocked);
}

TEST_CASE("field L1: a tag that was pushed again between its judging and its turn stays (I5)") {
  LifecycleFixture fixture(rules("    expire: [{tags: [\"*\"], older_than: 30d}]\n"));
  fixture.push("image", "b7");
  fixture.push("image", "main");
  fixture.pass(31 * day);
  fixture.push("image", "main");  // so that only the name b7 goes
  fixture.settle();
  auto plan = fixture.plan();
  REQUIRE(item(plan, "b7").verdict == Verdict::expire);
  fixture.push("image", "b7");
  fixture.settle();
  const auto done = sync_wait(fixture.runs().apply(plan.approved, fixture.actor));
  REQUIRE(done.has_value());
  CHECK(done->run.untagged == 0);
  CHECK(fixture.has_tag("b7"));
}

TEST_CASE("field L2: a new tag on an old image makes only itself young, and keeps the image (I2)") {
  LifecycleFixture fixture(rules("    expire: [{tags: [\"*\"], older_than: 60d}]\n"));
  const Digest image = fixture.push("image", "ci-1");
  fixture.pass(90 * day);
  fixture.push("image", "prod");
  fixture.settle();
  const auto plan = fixture.plan();
  CHECK(item(plan, "ci-1").verdict == Verdict::expire);
  CHECK(item(plan, "prod").verdict == Verdict::keep);
  CHECK(plan.summary.frees_bytes == 0);
  CHECK(fixture.run().removed == 0);
  CHECK_FALSE(fixture.has_tag("ci-1"));
  CHECK(fixture.has(image));
  CHECK(fixture.pull(tag("prod")));
}

TEST_CASE("field L3: an untagged manifest is as old as its last push, or the loss of its last tag (I5)") {
  LifecycleFixture fixture(rules("    expire: [{untagged: true, older_than: 7d}]\n"));
  const Digest image = fixture.push("image", "latest");
  const Digest quiet = fixture.push("quiet", "");
  fixture.pass(300 * day);
  fixture.push("next", "latest");
  REQUIRE(fixture.push("quiet", "") == quiet);  // by digest again
  fixture.pass(hour);
  auto plan = fixture.plan();
  CHECK(item(plan, "", image.str()).verdict == Verdict::keep);
  CHECK(item(plan, "", quiet.str()).verdict == Verdict::keep);
  SECTION("a tag ends it, and its loss begins it anew") {
    fixture.pass(6 * day);
    fixture.push("image", "again");
    fixture.pass(6 * day);
    fixture.push("next", "again");
    fixture.pass(6 * day);
    CHECK(item(fixture.plan(), "", image.str()).verdict == Verdict::keep);
    fixture.pass(2 * day);
  }
  SECTION("and it grows old") {
    fixture.pass(8 * day - hour);
  }
  std::int64_t age = 0;
  const auto all = policy::PatternList::compile({"**"}).value();
  const auto made = gc::make_plan(fixture.context(), *fixture.policy.current(), all,
                                  [&](const gc::PlannedItem& planned) -> Result<void> {
                                    if (planned.digest == image.str()) age = planned.age_seconds.value_or(0);
                                    return {};
                                  });
  REQUIRE(made.has_value());
  CHECK(age == 8 * day);
  plan = fixture.plan();
  CHECK(item(plan, "", image.str()).verdict == Verdict::expire);
  CHECK(item(plan, "", quiet.str()).verdict == Verdict::expire);
}

TEST_CASE("field L5: what expires with its last tag stands in the plan by itself, and frees its bytes (I5)") {
  LifecycleFixture fixture(rules("    expire: [{tags: [\"pr-*\"], older_than: 14d}]\n",
                                 "max_fraction: 1.0, keep_last: 0, trash_for: 2d"));
  const Digest image = fixture.push("image", "pr-1");
  const Digest by_digest = fixture.push("by digest", "");
  const Digest two_names = fixture.push("two names", "pr-2");
  fixture.push("two names", "main");
  fixture.pass(20 * day);
  const auto plan = fixture.plan();
  const auto& name_line = item(plan, "pr-1");
  const auto& own_line = item(plan, "", image.str());
  CHECK(name_line.verdict == Verdict::expire);
  CHECK(own_line.verdict == Verdict::expire);
  CHECK(own_line.rule == name_line.rule);
  CHECK(own_line.reason == "last tag expired: pr-1");
  CHECK((name_line.frees_bytes > 0) != (own_line.frees_bytes > 0));
  CHECK(item(plan, "pr-2").verdict == Verdict::expire);
  CHECK(std::none_of(plan.items.begin(), plan.items.end(),
                     [&](const auto& one) { return one.tag.empty() && one.digest == two_names.str(); }));
  CHECK(item(plan, "", by_digest.str()).verdict == Verdict::keep);
  CHECK(plan.summary.expiring == 2);

  const auto done = sync_wait(fixture.runs().apply(plan.approved, fixture.actor));
  REQUIRE(done.has_value());
  CHECK(done->run.removed == 1);
  CHECK(done->run.untagged == 2);
  CHECK_FALSE(fixture.has(image));
  CHECK(fixture.has(by_digest));
  CHECK(fixture.has(two_names));
}

TEST_CASE("field L8: a pull of a platform by digest keeps the indexes above it, and what they list (I5)") {
  LifecycleFixture fixture(rules("    expire: [{tags: [\"*\"], not_pulled_for: 7d}, {untagged: true}]\n"));
  const Digest a = fixture.push("a", ""), b = fixture.push("b", "");
  const Digest index = fixture.push_index({a, b}, "v1");
  const Digest above = fixture.push_index({index}, "");
  const Digest unused = fixture.push("unused", "old");
  fixture.pass(60 * day);
  REQUIRE(fixture.pull(Reference(a)));
  fixture.pass(hour);
  fixture.settle();
  CHECK(item(fixture.plan(), "v1").verdict == Verdict::keep);
  fixture.load(
      rules("    expire: [{tags: [\"*\"], not_pulled_for: 7d}, {untagged: true, not_pulled_for: 7d}]\n"));
  CHECK(fixture.run().removed == 1);
  for (const Digest& kept : {a, b, index, above}) CHECK(fixture.has(kept));
  CHECK_FALSE(fixture.has(unused));
}

TEST_CASE(
    "field L9: a HEAD is use, as containerd's are that pulls always; pollers are named by their agent") {
  LifecycleFixture fixture(rules("    expire: [{tags: [\"*\"], not_pulled_for: 30d}]\n",
                                 "max_fraction: 1.0, keep_last: 0, ignore_pulls_by: [\"agent:Watchtower*\", "
                                 "\"agent:/^Diun.*/\", \"robot:scan\"]"));
  fixture.push("image", "1");
  fixture.pass(60 * day);
  const auto look = [&](const std::string& agent, const std::string& principal = "anonymous") {
    const Look kind = fixture.registry->look_of(Principal(principal), agent);
    const auto found = sync_wait(fixture.registry->manifest(name("a"), Reference(tag("1")), kind));
    REQUIRE(found.has_value());
    if (kind == Look::use) fixture.registry->count_pull(*found);
    fixture.pass(day);
    return item(fixture.plan(), "1").verdict;
  };
  CHECK(look("Watchtower/1.7.1 (linux; amd64)") == Verdict::expire);
  CHECK(look("Diun/4.28.0") == Verdict::expire);
  CHECK(look("containerd/1.7.1", "robot:scan") == Verdict::expire);
  CHECK(look("containerd/1.7.1 Watchtower") == Verdict::keep);
}

TEST_CASE("field L10: a blob that is read is use of the images in that repository that name it (I5)") {
  LifecycleFixture fixture(rules("    expire: [{tags: [\"*\"], not_pulled_for: 30d}]\n"));
  const Digest lazy = fixture.push("image", "1");
  const Digest child = fixture.push("child", "");
  fixture.push_index({child}, "multi");
  fixture.push("other", "2");
  fixture.push("image", "1", "b");  // the same blobs, and nobody reads them there
  fixture.pass(59 * day);
  fixture.registry->count_blob_read(name("a"), rules_test::digest_of("layer of image"));
  fixture.registry->count_blob_read(name("a"), rules_test::digest_of("layer of child"));
  fixture.registry->count_blob_read(name("c"),
                                    rules_test::digest_of("layer of image"));  // no such repository
  fixture.pass(day);
  auto plan = fixture.plan("a");
  CHECK(item(plan, "1").verdict == Verdict::keep);
  CHECK(item(plan, "multi").verdict == Verdict::keep);  // credited upwards
  CHECK(item(plan, "2").verdict == Verdict::expire);
  CHECK(item(fixture.plan("b"), "1").verdict == Verdict::expire);
  CHECK(fixture.has(lazy));
}

TEST_CASE(
    "field L10: a base layer keeps no image beside the one that is pulled, and is kept while it is read") {
  LifecycleFixture fixture(rules("    expire: [{tags: [\"*\"], not_pulled_for: 30d}]\n"));
  fixture.push("old", "old");
  fixture.pass(day);
  fixture.push("new", "new");  // both have the same configuration: the part that they share
  fixture.pass(59 * day);
  SECTION("pulled with its image: the others are as unused as before") {
    REQUIRE(fixture.pull(tag("new")));
    fixture.registry->count_blob_read(name("a"), rules_test::digest_of("{}"));
    fixture.pass(hour);
    const auto plan = fixture.plan();
    CHECK(item(plan, "new").verdict == Verdict::keep);
    CHECK(item(plan, "old").verdict == Verdict::expire);
  }
  SECTION("read alone: whoever names it counts as used") {
    fixture.registry->count_blob_read(name("a"), rules_test::digest_of("{}"));
    fixture.pass(hour);
    CHECK(item(fixture.plan(), "new").verdict == Verdict::keep);
    CHECK(item(fixture.plan(), "old").verdict == Verdict::keep);
  }
}

TEST_CASE("field L11: among the last pulled, what was never pulled is as young as its push") {
  LifecycleFixture fixture(rules("    keep: [{newest_pulled: 2}]\n    expire: [{everything_else: true}]\n"));
  fixture.push("a", "a");
  fixture.push("b", "b");
  fixture.pass(20 * day);
  REQUIRE(fixture.pull(tag("b")));
  fixture.pass(4 * day);
  REQUIRE(fixture.pull(tag("a")));
  fixture.pass(5 * day);
  fixture.push("c", "c");
  fixture.pass(hour);
  const auto plan = fixture.plan();
  CHECK(item(plan, "c").verdict == Verdict::keep);
  CHECK(item(plan, "a").verdict == Verdict::keep);
  CHECK(item(plan, "b").verdict == Verdict::expire);
}

TEST_CASE("field L12: who is ignored keeps nothing by pulling, and keeps by pushing") {
  LifecycleFixture fixture(rules("    expire: [{tags: [\"*\"], not_pulled_for: 30d}]\n",
                                 "max_fraction: 1.0, keep_last: 0, ignore_pulls_by: [\"robot:scan\"]"));
  fixture.push("one", "1");
  fixture.push("two", "2");
  fixture.pass(60 * day);
  const std::string before = fixture.plan().summary.hash;
  for (const char* const pulled : {"1", "2"})
    REQUIRE(fixture.pull(tag(pulled), "a", Principal("robot:scan")));
  fixture.pass(hour);
  CHECK(fixture.plan().summary.hash == before);
  push_by(fixture, Principal("robot:scan"), "one", "1");
  CHECK(item(fixture.plan(), "1").verdict == Verdict::keep);
  CHECK(item(fixture.plan(), "2").verdict == Verdict::expire);
}

}  // namespace
}  // namespace stele
