// The field's rows about times that are equal, or not known (docs/lifecycle.md).

#include <set>

#include "gc/write_now.hpp"
#include "tests/unit/gc/lifecycle_field.hpp"

namespace stele {
namespace {

using namespace field_test;

// By one request, under all of these names.
Digest push_as(LifecycleFixture& fixture, const std::string& note, const std::vector<Tag>& names) {
  const std::string bytes = fixture.image(note);
  const auto manifest = Manifest::parse(media_type::oci_manifest, bytes);
  REQUIRE(manifest.has_value());
  const Digest digest = Digest::of(DigestAlgorithm::sha256, bytes);
  ManifestPush push{name("a"), Reference(digest),       names,        *manifest,
                    bytes,     DigestAlgorithm::sha256, fixture.actor};
  const auto pushed = sync_wait(fixture.registry->put_manifest(std::move(push)));
  REQUIRE(pushed.has_value());
  return digest;
}

std::set<std::string> kept(const LifecycleFixture::Plan& plan) {
  std::set<std::string> digests;
  for (const auto& one : plan.items) {
    if (one.verdict == Verdict::keep) digests.insert(one.digest);
  }
  return digests;
}

TEST_CASE("field L15: of what was pushed at one moment the last by commit rank first, in every plan (S2)") {
  LifecycleFixture fixture(
      rules("    keep: [{newest_pushed: 3}]\n"
            "    expire: [{everything_else: true}]\n"));
  // The clock stands still; the names come in no order.
  std::vector<Digest> images;
  for (const char letter : {'h', 'c', 'j', 'a', 'i', 'd', 'b', 'g', 'e', 'f'}) {
    std::vector<Tag> names;
    for (int n = 0; n < 10; ++n) names.push_back(tag(std::string(1, letter) + std::to_string(n)));
    images.push_back(push_as(fixture, std::string(1, letter), names));
  }
  REQUIRE(fixture.count("tags WHERE pushed_at <> (SELECT MAX(pushed_at) FROM tags)") == 0);
  SECTION("pushed one after the other") {}
  SECTION("an old image gets a name last") {
    push_as(fixture, "c", {tag("0")});
    images.push_back(images[1]);
  }
  SECTION("a name moves to it last") {
    push_as(fixture, "h", {tag("f9")});
    images.push_back(images[0]);
  }
  const std::set<std::string> last{images[images.size() - 1].str(), images[images.size() - 2].str(),
                                   images[images.size() - 3].str()};
  const auto first = fixture.plan();
  CHECK(kept(first) == last);
  for (int n = 0; n < 99; ++n) {
    const auto again = fixture.plan();
    REQUIRE(kept(again) == last);
    REQUIRE(again.summary.hash == first.summary.hash);
  }
  fixture.settle();
  CHECK(fixture.run().removed == 7);
  CHECK(fixture.count("manifests") == 3);
}

TEST_CASE("field L16: a catalog without push times keeps everything, and its plan says why (S3, I8)") {
  const TestDirectory directory;
  const std::string young =
      "    expire: [{older_than: 1d}, {untagged: true, older_than: 1d}, {not_pulled_for: 1d}]\n";
  {
    LifecycleFixture before(rules(young), {.path = directory.path});
    for (int n = 0; n < 50; ++n) before.push("image " + std::to_string(n), "v" + std::to_string(n));
    before.push("lost", "");
    // As a restoration or an import writes rows whose times it does not have.
    for (const char* statement : {"UPDATE tags SET pushed_at = 0", "UPDATE manifests SET created_at = 0"}) {
      const auto written = gc::write_now(*before.writer, {}, [&](sql::Tx& tx) -> Result<void> {
        tx.execute(statement);
        return {};
      });
      REQUIRE(written.has_value());
    }
  }
  LifecycleFixture fixture(rules(young), {.path = directory.path});
  fixture.pass(2 * day);
  const auto plan = fixture.plan();
  REQUIRE(plan.items.size() == 51);
  for (const auto& one : plan.items) {
    CHECK(one.verdict == Verdict::keep);
    CHECK(one.reason.find("no push time") == 0);
  }
  CHECK(fixture.run().removed == 0);
  // Pushed again it has one, and grows old from there.
  fixture.push("image 7", "v7");
  CHECK(item(fixture.plan(), "v7").reason == "no expire entry says otherwise");
  fixture.pass(2 * day);
  CHECK(item(fixture.plan(), "v7").verdict == Verdict::expire);
  CHECK(item(fixture.plan(), "v8").verdict == Verdict::keep);
  // What asks for no age needs none.
  fixture.load(rules("    keep: [{tags: [v7]}]\n    expire: [{everything_else: true}]\n"));
  CHECK(fixture.run().removed == 50);
  CHECK(fixture.has_tag("v7"));
}

}  // namespace
}  // namespace stele
