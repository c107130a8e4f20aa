// Going back, retagging, promoting, removing a repository: further roads to a tag, each under its rule (I3,
// I4).

#include "registry/tag_moves.hpp"

#include <future>

#include "base/media_type.hpp"
#include "registry/policies.hpp"
#include "registry/policy_trial.hpp"
#include "registry/promotion_plan.hpp"
#include "registry/repositories.hpp"
#include "registry/retention.hpp"
#include "registry/tag_history.hpp"
#include "tests/unit/registry/rules_fixture.hpp"

namespace stele {
namespace {

using namespace rules_test;

template <class T>
std::optional<Errc> errc(const Result<T>& result) {
  if (result) return std::nullopt;
  return result.error().code();
}

const std::string one = image({"l1"}, "1.0.0"), two = image({"l1", "l2"}, "1.1.0"),
                  three = image({"l2"}, "0.9.0");

class Moves : public RulesFixture {
 public:
  using RulesFixture::RulesFixture;

  std::string roll_back(const std::string& text, std::optional<Digest> to = std::nullopt,
                        std::optional<Timestamp> at = std::nullopt) {
    return outcome(sync_wait(
        TagMoves(parts()).rollback(Rollback{name("a"), tag(text), std::move(to), at, "because", actor})));
  }
  std::string promote(const std::string& reference, const std::string& to,
                      const std::vector<std::string>& tags, const std::string& from = "a") {
    std::vector<Tag> wanted;
    for (const auto& text : tags) wanted.push_back(tag(text));
    auto done = sync_wait(TagMoves(parts()).promote(
        Promotion{name(from), Reference::parse(reference).value(), name(to), wanted, actor}));
    if (done) last = *done;
    return outcome(done);
  }
  std::string release(const std::string& text, const std::string& repository = "a",
                      Preconditions conditions = {}) {
    auto done = sync_wait(TagMoves(parts()).release(
        Release{name(repository), tag(text), "the wrong branch", actor, std::move(conditions)}));
    if (done) freed = *done;
    return outcome(done);
  }
  std::optional<Released> freed;
  std::string approve(const std::string& text, const Digest& digest) {
    auto done = sync_wait(
        TagMoves(parts()).approve(Approval{name("a"), tag(text), digest, "https://upstream.example", actor}));
    if (done) approved = *done;
    return outcome(done);
  }
  std::string remove_repository(const std::string& repository) {
    return outcome(sync_wait(Repositories(parts()).remove(name(repository), actor)));
  }
  std::vector<catalog::TagHistoryEntry> history(const std::string& text) {
    auto page = sync_wait(TagHistory(parts()).history(name("a"), tag(text), 0, 100));
    REQUIRE(page.has_value());
    return page->entries;
  }
  std::optional<Promoted> last;
  std::optional<ApprovedTag> approved;
};

TEST_CASE("approve: one write moves the tag and tells who did it, under the tag's rule") {
  Moves registry;
  REQUIRE(registry.push(one, {"latest", "1.0.0"}).empty());
  REQUIRE(registry.push(two, {}).empty());
  REQUIRE(registry.approve("latest", digest_of(two)).empty());
  CHECK(registry.points_to("latest") == digest_of(two));
  CHECK(registry.approved->from == digest_of(one));
  const auto entries = registry.history("latest");
  REQUIRE(entries.size() == 2);
  CHECK(entries[0].action == "tag.approve");
  CHECK(entries[0].actor == "tester");
  CHECK(entries[0].reason == "https://upstream.example");
  CHECK(entries[0].previous == digest_of(one));
  REQUIRE(registry.approve("latest", digest_of(two)).empty());
  CHECK(registry.count("events WHERE action = 'tag.approve'") == 1);
  CHECK(registry.approve("1.0.0", digest_of(two)) == "TAG_IMMUTABLE");
  CHECK(registry.points_to("1.0.0") == digest_of(one));
  CHECK(registry.approve("latest", digest_of(three)) == "manifest_unknown");
}

TEST_CASE("rollback: to the digest before, to one that is named, to a moment") {
  Moves registry;
  REQUIRE(registry.push(one, {"latest"}).empty());
  registry.clock.advance(60);
  const Timestamp then = registry.clock.now();
  registry.clock.advance(60);
  REQUIRE(registry.push(two, {"latest"}).empty());
  REQUIRE(registry.roll_back("latest").empty());
  CHECK(registry.points_to("latest") == digest_of(one));
  REQUIRE(registry.roll_back("latest").empty());
  CHECK(registry.points_to("latest") == digest_of(two));
  REQUIRE(registry.roll_back("latest", std::nullopt, then).empty());
  CHECK(registry.points_to("latest") == digest_of(one));
  REQUIRE(registry.roll_back("latest", digest_of(two)).empty());
  CHECK(registry.points_to("latest") == digest_of(two));
  const auto entries = registry.history("latest");
  REQUIRE(entries.size() == 6);
  CHECK(entries[0].action == "tag.rollback");
  CHECK(entries[0].reason == "because");
  CHECK(entries[0].actor == "tester");
  CHECK(entries[0].previous == digest_of(one));
  CHECK(entries[5].action == "tag.set");
  CHECK_FALSE(entries[5].previous.has_value());
  for (const auto& entry : entries) CHECK(entry.rule == "default");
}

TEST_CASE("rollback: only to what the tag had and what is there") {
  Moves registry;
  REQUIRE(registry.push(one, {"latest"}).empty());
  CHECK(registry.roll_back("latest") == "manifest_unknown");
  CHECK(registry.roll_back("latest", std::nullopt, Timestamp{0}) == "manifest_unknown");
  CHECK(registry.roll_back("never") == "manifest_unknown");
  REQUIRE(registry.push(two, {"other"}).empty());
  CHECK(registry.roll_back("latest", digest_of(two)) == "manifest_unknown");  // another tag's
  REQUIRE(registry.push(two, {"latest"}).empty());
  REQUIRE(registry.remove(digest_of(one).str()).empty());
  CHECK(registry.roll_back("latest") == "manifest_unknown");
  CHECK(registry.last_message.find("no longer in a; push it again by digest first") != std::string::npos);
  REQUIRE(registry.push(one, {}).empty());
  CHECK(registry.roll_back("latest").empty());
}

TEST_CASE("rollback: forward-only lets it pass, immutable and append-only do not (I3)") {
  Moves registry;
  REQUIRE(registry.push(one, {"forward", "fixed", "log"}).empty());
  REQUIRE(registry.push(two, {"forward", "fixed", "log"}).empty());
  registry.use(
      "tag_rules:\n"
      "  - {name: f, tags: [forward], mutability: forward-only}\n"
      "  - {name: i, tags: [fixed], mutability: immutable}\n"
      "  - {name: l, tags: [log], mutability: append-only}\n");
  CHECK(registry.push(one, {"forward"}) == "TAG_FORWARD_ONLY");
  CHECK(registry.roll_back("forward").empty());
  CHECK(registry.push(three, {"forward"}) == "TAG_FORWARD_ONLY");
  CHECK(registry.push(two, {"forward"}).empty());
  CHECK(registry.roll_back("fixed") == "TAG_IMMUTABLE");
  CHECK(registry.points_to("fixed") == digest_of(two));
  CHECK(registry.roll_back("log") == "TAG_APPEND_ONLY");
  CHECK(registry.count("events WHERE action = 'tag.refused'") == 4);
}

TEST_CASE("rollback: a deleted tag comes back, an immutable one only as it was (I3)") {
  Moves registry;
  registry.use("tag_rules: [{name: i, tags: [fixed], mutability: immutable, delete: allow}]\n");
  REQUIRE(registry.push(one, {"fixed", "moving"}).empty());
  REQUIRE(registry.remove("fixed").empty());
  REQUIRE(registry.remove("moving").empty());
  CHECK(registry.roll_back("fixed").empty());
  CHECK(registry.points_to("fixed") == digest_of(one));
  CHECK(registry.roll_back("moving").empty());
  CHECK(registry.points_to("moving") == digest_of(one));
}

TEST_CASE("history: what held at a moment, and pages") {
  Moves registry;
  const TagHistory tags(registry.parts());
  const auto at = [&](Timestamp when) { return sync_wait(tags.at(name("a"), tag("t"), when)); };
  CHECK(errc(at({1})) == Errc::name_unknown);
  REQUIRE(registry.push(one, {"other"}).empty());
  CHECK(errc(at({1})) == Errc::manifest_unknown);
  std::vector<Timestamp> moments;
  for (int i = 0; i < 7; ++i) {
    registry.clock.advance(10);
    REQUIRE(registry.push(i % 2 == 0 ? one : two, {"t"}).empty());
    moments.push_back(registry.clock.now());
  }
  registry.clock.advance(10);
  REQUIRE(registry.remove("t").empty());
  CHECK(errc(at(moments[0] + -1)) == Errc::manifest_unknown);
  for (std::size_t i = 0; i < moments.size(); ++i) {
    CHECK(at(moments[i])->current == digest_of(i % 2 == 0 ? one : two));
    CHECK(at(moments[i] + 9'999'999)->current == digest_of(i % 2 == 0 ? one : two));
  }
  CHECK_FALSE(at(registry.clock.now())->current.has_value());

  std::size_t seen = 0;
  for (std::int64_t before = 0;;) {
    const auto page = sync_wait(tags.history(name("a"), tag("t"), before, 3));
    REQUIRE(page.has_value());
    seen += page->entries.size();
    if (page->next == 0) break;
    before = page->next;
  }
  CHECK(seen == 8);
  CHECK(errc(sync_wait(tags.history(name("a"), tag("never"), 0, 3))) == Errc::manifest_unknown);

  const auto all = sync_wait(tags.list(name("a"), "", 1));
  REQUIRE(all.has_value());
  REQUIRE(all->tags.size() == 1);
  CHECK(all->tags[0].tag.str() == "other");
  CHECK_FALSE(all->more);
}

TEST_CASE("promote: without moving bytes, with children and what refers to them") {
  Moves registry(ReferenceMode::strict);
  const auto blob = [&](const std::string& content) { return registry.push_blob("a", content); };
  blob("{}");
  blob("l1");
  const std::string child = image({"l1"});
  REQUIRE(registry.push(child, {}).empty());
  const std::string index = index_of({child});
  REQUIRE(registry.push(index, {"sha-a1b2c3d"}, "a", media_type::oci_index).empty());
  const std::string signature = image({"l1"}, "", "", digest_of(child).str());
  REQUIRE(registry.push(signature, {}).empty());
  const std::string cosign = image({"l1"}, "signature");
  const std::string cosign_tag = "sha256-" + digest_of(index).str().substr(7) + ".sig";
  REQUIRE(registry.push(cosign, {cosign_tag}).empty());
  const auto files = registry.files("blobs");

  REQUIRE(registry.promote("sha-a1b2c3d", "b/c", {"1.0.0", "latest"}).empty());
  CHECK(registry.last->digest == digest_of(index));
  CHECK(registry.last->manifests == 4);
  CHECK(registry.last->blobs == 2);
  CHECK(registry.files("blobs") == files);
  CHECK(registry.points_to("1.0.0", "b/c") == digest_of(index));
  CHECK(registry.points_to("latest", "b/c") == digest_of(index));
  CHECK(registry.points_to(cosign_tag, "b/c") == digest_of(cosign));
  CHECK_FALSE(registry.points_to("sha-a1b2c3d", "b/c").has_value());
  const auto target = name("b/c");
  for (const std::string& text : {child, signature, index}) {
    const auto found = sync_wait(registry.registry->manifest(target, digest_of(text)));
    REQUIRE(found.has_value());
    CHECK(found->bytes == text);
  }
  CHECK(sync_wait(registry.registry->referrers(target, digest_of(child), std::nullopt, 0))
            ->descriptors.size() == 1);
  CHECK(registry.registry->blob(target, digest_of("l1")).has_value());
  CHECK(registry.count("events WHERE action = 'tag.promote' AND repository = 'b/c' AND reason = 'a@" +
                       digest_of(index).str() + "'") == 2);

  SECTION("again changes nothing") {
    const auto history = registry.count("tag_history");
    REQUIRE(registry.promote("sha-a1b2c3d", "b/c", {"1.0.0"}).empty());
    CHECK(registry.last->manifests == 0);
    CHECK(registry.last->blobs == 0);
    CHECK(registry.count("tag_history") == history);
  }
  SECTION("the target's rules decide, all or none") {
    REQUIRE(registry.push(child, {"sha-fffffff"}).empty());
    const auto manifests = registry.count("manifests");
    CHECK(registry.promote("sha-fffffff", "b/c", {"new", "1.0.0"}) == "TAG_IMMUTABLE");
    CHECK_FALSE(registry.points_to("new", "b/c").has_value());
    CHECK(registry.count("manifests") == manifests);
    CHECK(registry.count("events WHERE action = 'tag.refused' AND repository = 'b/c'") == 1);
  }
  SECTION("a signature that the target has stays as it is there") {
    const std::string more = image({"l1"}, "signature");
    REQUIRE(registry.promote(digest_of(index).str(), "b/c", {}).empty());
    CHECK(registry.points_to(cosign_tag, "b/c") == digest_of(cosign));
  }
  SECTION("a retag inside the repository") {
    REQUIRE(registry.promote("sha-a1b2c3d", "a", {"2.0.0"}).empty());
    CHECK(registry.points_to("2.0.0") == digest_of(index));
    CHECK(registry.promote(digest_of(child).str(), "a", {"2.0.0"}) == "TAG_IMMUTABLE");
    CHECK(registry.count("events WHERE action = 'tag.retag'") == 1);
  }
}

TEST_CASE("promote: what is not there") {
  Moves registry;
  REQUIRE(registry.push(one, {"t"}).empty());
  CHECK(registry.promote("t", "b", {}, "nowhere") == "name_unknown");
  CHECK(registry.promote("never", "b", {}) == "manifest_unknown");
  CHECK(registry.count("repositories") == 1);
}

TEST_CASE("promote: carries the tags named after a digest, also of sha512, cut as others cut it") {
  Moves registry;
  const Digest digest = Digest::of(DigestAlgorithm::sha512, one);
  const auto manifest = Manifest::parse(media_type::oci_manifest, one).value();
  REQUIRE(
      sync_wait(registry.registry->put_manifest(ManifestPush{
                    name("a"), digest, {tag("t")}, manifest, one, DigestAlgorithm::sha512, registry.actor}))
          .has_value());
  const std::string cut = "sha512-" + std::string(digest.hex().substr(0, 64)),
                    longest = "sha512-" + std::string(digest.hex().substr(0, 121));
  const std::vector<std::string> carried{cut, cut + ".sig", cut + ".att", cut + ".sbom", longest};
  for (const std::string& text : carried) REQUIRE(registry.push(image({text}), {text}).empty());
  REQUIRE(registry.push(image({"other"}), {"sha512-" + std::string(64, '0')}).empty());
  REQUIRE(registry.promote("t", "b", {}).empty());
  CHECK(registry.last->manifests == 1 + carried.size());
  for (const std::string& text : carried) CHECK(registry.points_to(text, "b") == digest_of(image({text})));
}

TEST_CASE("promote: forward-only compares what the source repository knows") {
  Moves registry;
  registry.use("tag_rules: [{name: f, tags: [latest], mutability: forward-only}]\n");
  REQUIRE(registry.push(registry.labelled("2.0.0"), {"v2"}).empty());
  REQUIRE(registry.push(registry.labelled("1.0.0"), {"v1"}).empty());
  REQUIRE(registry.promote("v2", "b", {"latest"}).empty());
  CHECK(registry.promote("v1", "b", {"latest"}) == "TAG_FORWARD_ONLY");
  CHECK(registry.last_message.find("1.0.0 (label of the configuration) is older than 2.0.0") !=
        std::string::npos);
}

TEST_CASE("promote: a chain of referrers is taken along to its end, in writes of bounded size (I10)") {
  Moves registry;
  std::string subject = one;
  REQUIRE(registry.push(one, {"t"}).empty());
  const int length = 2'000;
  for (int i = 0; i < length; ++i) {
    subject = image({"l"}, "", "", digest_of(subject).str());
    REQUIRE(registry.push(subject, {}).empty());
  }
  const auto writes = registry.writer->statistics().writes;
  REQUIRE(registry.promote("t", "b", {}).empty());
  CHECK(registry.last->manifests == length + 1);
  CHECK(registry.writer->statistics().writes - writes >= length / TagMoves::manifests_per_write);
  CHECK(registry.points_to("t", "b") == digest_of(one));
}

TEST_CASE("promote: a write has few manifests and few bytes, at least one, and all of them come (I10)") {
  constexpr std::uint64_t MiB = 1 << 20;
  const auto cut = [](const std::vector<std::uint64_t>& sizes) {
    PromotionPlan plan;
    for (const std::uint64_t size : sizes) plan.push_back({digest_of("x"), size, {}});
    return writes_of(plan);
  };
  using Writes = std::vector<std::size_t>;
  CHECK(cut({}) == Writes{0});
  CHECK(cut({MiB, MiB, MiB, MiB}) == Writes{4});
  CHECK(cut({MiB, MiB, MiB, MiB, 1}) == Writes{4, 1});
  CHECK(cut({1, 64 * MiB, 1}) == Writes{1, 1, 1});
  CHECK(cut(std::vector<std::uint64_t>(450, 0)) == Writes{200, 200, 50});
}

TEST_CASE("promote: more bytes of manifests than it takes are refused before anything is written (I10)") {
  Moves registry;
  REQUIRE(registry.push(one, {"t"}).empty());
  REQUIRE(registry.push(image({"l"}, "", "", digest_of(one).str()), {}).empty());
  auto pending = registry.writer->write({}, [](sql::Tx& tx) -> Result<void> {
    tx.execute("UPDATE manifests SET size = $1 WHERE subject IS NOT NULL",
               static_cast<std::int64_t>(TagMoves::most_bytes));
    return {};
  });
  REQUIRE(sync_wait([&]() -> Task<Result<void>> { co_return co_await pending; }()).has_value());
  CHECK(registry.promote("t", "b", {}) == "parameter_invalid");
  CHECK(registry.last_message.find("promote them in parts") != std::string::npos);
  CHECK(registry.count("repositories") == 1);
}

TEST_CASE(
    "release: the next push decides what the name means, and the record says who freed it and why (I3, I4)") {
  Moves registry;
  registry.use(
      "tag_rules:\n"
      "  - {name: i, tags: [\"1.*\"], mutability: immutable}\n"
      "  - {name: f, tags: [\"f*\"], mutability: forward-only}\n"
      "  - {name: p, tags: [\"s*\"], mutability: append-only, delete: allow}\n");
  REQUIRE(registry.push(two, {"1.0", "f", "s", "latest"}).empty());
  for (const char* name : {"1.0", "f", "s", "latest"}) {
    INFO(name);
    REQUIRE(registry.release(name).empty());
    CHECK(registry.freed->digest == digest_of(two));
    CHECK(registry.freed->removed);
    CHECK_FALSE(registry.points_to(name).has_value());
    CHECK(registry.push(three, {name}).empty());
    const auto entries = registry.history(name);
    REQUIRE(entries.size() == 3);
    CHECK(entries[1].action == "tag.delete");
    CHECK(entries[1].reason == "the wrong branch");
    CHECK(entries[1].actor == "tester");
  }
  CHECK(registry.count("events WHERE action = 'name.released' AND reason = 'the wrong branch'") == 4);
  CHECK(registry.push(one, {"1.0"}) == "TAG_IMMUTABLE");  // bound again from its next push on
  const auto explained = Policies(registry.parts()).explain(name("a"), tag("1.0"));
  REQUIRE(explained.has_value());
  REQUIRE(explained->released.has_value());
  CHECK(explained->released->digest == digest_of(two));
  CHECK(explained->released->reason == "the wrong branch");
}

TEST_CASE(
    "release: a name that is kept after its tag, or its repository, went; one that is free is said to be") {
  Moves registry;
  registry.use("tag_rules: [{name: i, tags: [\"1.*\"], mutability: immutable, delete: allow}]\n");
  REQUIRE(registry.push(one, {"1.0", "1.1"}).empty());
  REQUIRE(registry.remove("1.0").empty());
  CHECK(registry.push(two, {"1.0"}) == "TAG_IMMUTABLE");
  REQUIRE(registry.release("1.0").empty());
  CHECK_FALSE(registry.freed->removed);
  CHECK(registry.push(two, {"1.0"}).empty());
  REQUIRE(registry.remove_repository("a").empty());
  CHECK(registry.release("1.1").empty());
  CHECK(registry.release("1.1") == "manifest_unknown");
  CHECK(registry.push(two, {"1.1"}).empty());
  CHECK(registry.release("9.9") == "manifest_unknown");
  CHECK(registry.release("1.0", "nobody") == "manifest_unknown");
}

TEST_CASE("release: not under a lock or a hold, and not when it points elsewhere by now (I3)") {
  Moves registry;
  registry.use(
      "tag_rules: [{name: i, tags: [\"1.*\"], mutability: immutable, lock: {for: 1d, mode: governance}}]\n");
  REQUIRE(registry.push(one, {"1.0"}).empty());
  REQUIRE(registry.push(two, {"held", "x"}).empty());
  const Retention retention(registry.parts());
  REQUIRE(sync_wait(retention.set_hold({"h", "1", "", name("a"), Reference(tag("held")), registry.actor}))
              .has_value());
  CHECK(registry.release("1.0") == "LOCKED");
  CHECK(registry.release("held") == "HELD");
  CHECK(registry.points_to("1.0") == digest_of(one));
  CHECK(registry.count("events WHERE action = 'tag.refused' AND reason IN ('LOCKED', 'HELD')") == 2);
  CHECK(registry.count("events WHERE action = 'name.released'") == 0);
  Preconditions conditions;
  conditions.if_match = EntityCondition{false, {digest_of(one).str()}};
  CHECK(registry.release("x", "a", conditions) == "PRECONDITION_FAILED");
  conditions.if_match = EntityCondition{false, {digest_of(two).str()}};
  CHECK(registry.points_to("x") == digest_of(two));
  registry.clock.advance(86401);
  registry.boot.advance(86401);
  CHECK(registry.release("1.0").empty());
}

TEST_CASE("repository: removed whole under the rules; its names stay bound (I3)") {
  Moves registry;
  registry.use(
      "tag_rules:\n"
      "  - {name: i, tags: [\"1.*\"], mutability: immutable, delete: allow}\n"
      "  - {name: f, tags: [\"f*\"], mutability: forward-only}\n"
      "  - {name: k, tags: [keep], mutability: immutable}\n");
  CHECK(registry.remove_repository("a") == "name_unknown");
  REQUIRE(registry.push(one, {"1.0", "latest", "f0", "f1", "f2"}).empty());
  REQUIRE(registry.push(two, {"keep"}).empty());
  registry.push_blob("a", "l1");
  CHECK(registry.remove_repository("a") == "TAG_DELETE_DENIED");
  CHECK(registry.last_message.find("\"keep\"") != std::string::npos);
  CHECK(registry.count("tags") == 6);
  registry.use(
      "tag_rules:\n"
      "  - {name: i, tags: [\"1.*\"], mutability: immutable, delete: allow}\n"
      "  - {name: f, tags: [\"f*\"], mutability: forward-only}\n");
  REQUIRE(registry.remove_repository("a").empty());
  for (const char* table : {"repositories", "manifests", "tags", "tag_history", "repository_blobs"})
    CHECK(registry.count(table) == 0);
  CHECK(registry.count("blobs") == 1);  // collected later
  CHECK(registry.count("events WHERE action = 'repository.delete'") == 1);
  CHECK(registry.push(two, {"1.0"}) == "TAG_IMMUTABLE");
  CHECK(registry.push(three, {"f0"}) == "TAG_FORWARD_ONLY");
  CHECK(registry.push(two, {"latest", "f1"}).empty());
  CHECK(registry.push(one, {"1.0"}).empty());
}

TEST_CASE("policies: every version is kept, and a tag is explained") {
  Moves registry;
  const Policies policies(registry.parts());
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

TEST_CASE("policy trial: tags that look fixed and that no rule covers are listed") {
  Moves registry;
  REQUIRE(registry.push(one, {"latest", "a1b2c3d", "20240131", "1.4.2", "build-20240131"}).empty());
  const auto next = rules(
      "tag_rules:\n"
      "  - {name: i, tags: [\"@semver\"], mutability: immutable}\n"
      "  - {name: m, tags: [\"build-*\"], mutability: mutable}\n");
  const auto trial = sync_wait(PolicyTrials(registry.parts()).run(next, registry.clock.now()));
  REQUIRE(trial.has_value());
  std::vector<std::string> listed;
  for (const auto& tag : trial->uncovered) listed.push_back(tag.tag + " " + tag.shape);
  CHECK(listed == std::vector<std::string>{"20240131 date", "a1b2c3d commit"});
  CHECK(trial->tags_uncovered == 2);
  const auto all = rules("default: {mutability: immutable}\n");
  CHECK(sync_wait(PolicyTrials(registry.parts()).run(all, registry.clock.now()))->uncovered.empty());
}

TEST_CASE("policy trial: it needs none of the threads that answer pulls") {
  Moves registry;
  REQUIRE(registry.push(one, {"1.0.0"}).empty());
  std::promise<void> ended;
  const std::shared_future<void> end = ended.get_future().share();
  const auto wait = [end] { end.wait(); };
  auto first = registry.db.start(wait), second = registry.db.start(wait);  // all that it has
  const auto trial = sync_wait(
      PolicyTrials(registry.parts()).run(rules("default: {mutability: immutable}\n"), registry.clock.now()));
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
  const auto trial = sync_wait(PolicyTrials(registry.parts()).run(next, since));
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
  const auto later = sync_wait(PolicyTrials(registry.parts()).run(next, since));
  CHECK(later->undecided > 0);
}

}  // namespace
}  // namespace stele
