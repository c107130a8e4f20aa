// Further names for what is here, and taking it into another repository: what comes along, in what pieces,
// and what it costs (I2, I3, I10).

#include <latch>
#include <set>

#include "base/media_type.hpp"
#include "base/pending.hpp"
#include "registry/promotion_plan.hpp"
#include "tests/unit/registry/moves_fixture.hpp"

namespace stele::promote_test {
namespace {

using namespace rules_test;

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

std::int64_t total(Moves& registry, const std::string& column, const std::string& table) {
  return registry.database
      ->read([&](sql::Session& session) -> Result<std::int64_t> {
        auto rows = session.query("SELECT COALESCE(SUM(" + column + "), 0) FROM " + table);
        rows.next();
        return rows.integer(0);
      })
      .value();
}

// What is stored, in bytes: docs/decisions/018-promotion-in-steps.md.
struct StoredBytes {
  explicit StoredBytes(Moves& registry)
      : blobs(total(registry, "size", "blobs")),
        manifests(total(registry, "LENGTH(bytes)", "manifests")),
        files(registry.files("blobs")) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(registry.path + "/blobs"))
      in_files += entry.is_regular_file() ? entry.file_size() : 0;
  }
  std::int64_t blobs, manifests;
  std::size_t files;
  std::uintmax_t in_files = 0;
};

TEST_CASE("promote: no byte of a blob twice, and of manifests as many as they have, once (A6, I10)") {
  Moves registry(ReferenceMode::strict);
  registry.push_blob("a", "{}");
  const std::string layer(std::size_t{1} << 20, 'l');
  registry.push_blob("a", layer);
  std::vector<std::string> children;
  std::size_t sizes = 0;
  for (int i = 0; i < 8; ++i) {
    children.push_back(image({layer}, std::to_string(i)));
    REQUIRE(registry.push(children.back(), {}).empty());
    sizes += children.back().size();
  }
  const std::string index = index_of(children);
  REQUIRE(registry.push(index, {"t"}, "a", media_type::oci_index).empty());
  sizes += index.size();

  const StoredBytes before(registry);
  const auto unchanged_blobs = [&](const StoredBytes& after) {
    return after.blobs == before.blobs && after.files == before.files && after.in_files == before.in_files;
  };
  const auto added = static_cast<std::int64_t>(sizes);
  REQUIRE(registry.promote("t", "b", {"t", "u"}).empty());
  const StoredBytes promoted(registry);
  CHECK(unchanged_blobs(promoted));
  CHECK(promoted.manifests == before.manifests + added);
  REQUIRE(registry.promote("t", "b", {"again"}).empty());
  REQUIRE(registry.promote("t", "a", {"here"}).empty());
  const StoredBytes again(registry);
  CHECK(unchanged_blobs(again));
  CHECK(again.manifests == promoted.manifests);
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

// The writes in which what hangs on `digest` would be promoted now.
std::vector<std::size_t> planned_writes(Moves& registry, const Digest& digest) {
  const auto plan = registry.database->read([&](sql::Session& session) -> Result<PromotionPlan> {
    return plan_promotion(session, name("a"), name("b"), digest);
  });
  REQUIRE(plan.has_value());
  return writes_of(*plan);
}

TEST_CASE("promote: no more bytes are read at once because the target has them already (I10)") {
  Moves registry;
  REQUIRE(registry.push(one, {"t"}).empty());
  for (const char letter : {'x', 'y', 'z'}) {
    std::string large = image({"l"}, "", "", digest_of(one).str());
    large.insert(1, R"("padding":")" + std::string(std::size_t{3} << 20, letter) + R"(",)");
    REQUIRE(registry.push(large, {}).empty());
  }
  using Writes = std::vector<std::size_t>;
  CHECK(planned_writes(registry, digest_of(one)) == Writes{2, 1, 1});
  REQUIRE(registry.promote("t", "b", {}).empty());
  CHECK(registry.last->manifests == 4);
  CHECK(planned_writes(registry, digest_of(one)) == Writes{2, 1, 1});
  REQUIRE(registry.promote("t", "b", {"again"}).empty());
  CHECK(registry.last->manifests == 0);
  CHECK(registry.count("manifests WHERE repository_id = (SELECT id FROM repositories WHERE name = 'b')") ==
        4);
}

TEST_CASE("promote: whose turn it is not has read nothing yet (I10)") {
  Moves registry;
  REQUIRE(registry.push(one, {"t"}).empty());
  std::vector<std::string> turns;
  for (int i = 0; i < 1000; ++i) turns.push_back(turn_of(name("b" + std::to_string(i))));
  CHECK(std::set<std::string>(turns.begin(), turns.end()).size() == TagMoves::most_at_once);

  std::optional<Result<Promoted>> promoted;
  const TagMoves moves(registry.context());
  const auto promote = [&](Completion<bool>& ended) -> Task<void> {
    Promotion asked{name("a"), Reference(tag("t")), name("b"), {}, registry.actor};
    promoted.emplace(co_await moves.promote(std::move(asked)));
    ended.set(true);
  };
  const auto scenario = [&]() -> Task<bool> {
    Completion<bool> ended;
    auto turn = co_await registry.digest_locks.lock(turn_of(name("b")));
    spawn(promote(ended));
    // As far as it comes by itself: both threads that read for it have done what they were given before.
    std::latch both(2);
    const auto meet = [&both] { both.arrive_and_wait(); };
    auto first = registry.db.start(meet), second = registry.db.start(meet);
    co_await first;
    co_await second;
    const auto manifest = Manifest::parse(media_type::oci_manifest, two).value();
    const ManifestPush push{name("a"), digest_of(two),          {tag("t")},    manifest,
                            two,       DigestAlgorithm::sha256, registry.actor};
    const auto pushed = co_await registry.registry->put_manifest(push);
    turn.release();
    auto pending = ended.pending();
    co_await pending;
    co_return pushed.has_value();
  };
  REQUIRE(sync_wait(scenario()));
  REQUIRE(promoted->has_value());
  CHECK((*promoted)->digest == digest_of(two));
  CHECK(registry.points_to("t", "b") == digest_of(two));
}

TEST_CASE("promote: a version that an earlier write took over is compared in the last one (I8)") {
  Moves registry;
  registry.use("tag_rules: [{name: f, tags: [latest], mutability: forward-only}]\n");
  const std::string old = registry.labelled("1.0.0");
  REQUIRE(registry.push(registry.labelled("2.0.0"), {"v2"}).empty());
  REQUIRE(registry.push(old, {"v1"}).empty());
  for (std::size_t i = 0; i < TagMoves::manifests_per_write; ++i)
    REQUIRE(registry.push(image({std::to_string(i)}, "", "", digest_of(old).str()), {}).empty());
  REQUIRE(registry.promote("v2", "b", {"latest"}).empty());
  CHECK(registry.promote("v1", "b", {"latest"}) == "TAG_FORWARD_ONLY");
  CHECK(registry.points_to("latest", "b") != digest_of(old));
}

TEST_CASE("promote: damaged bytes are taken nowhere and get no further name (I6)") {
  Moves registry;
  REQUIRE(registry.push(one, {"t"}).empty());
  auto pending = registry.writer->write({}, [](sql::Tx& tx) -> Result<void> {
    tx.execute("UPDATE manifests SET bytes = x'7b7d'");
    return {};
  });
  REQUIRE(sync_wait([&]() -> Task<Result<void>> { co_return co_await pending; }()).has_value());
  CHECK(registry.promote("t", "a", {"further"}) == "corrupt");
  CHECK(registry.promote("t", "b", {}) == "corrupt");
  CHECK(registry.count("repositories") == 1);
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

}  // namespace
}  // namespace stele::promote_test
