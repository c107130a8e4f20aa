// Storage quotas: by every road on which a repository gets more, inside the transaction that gives it, and by
// none on which it does not.

#include <latch>
#include <thread>

#include "registry/usage.hpp"
#include "tests/unit/registry/moves_fixture.hpp"

namespace stele {
namespace {

using namespace rules_test;

class QuotaRegistry : public Moves {
 public:
  using Moves::Moves;

  void limit(std::int64_t bytes, const std::string& pattern = "full/**") {
    use("quotas: [{name: q, repositories: [\"" + pattern + "\"], storage: " + std::to_string(bytes) + "}]\n");
  }
  std::int64_t used(const std::string& repository) {
    auto listed = sync_wait(Usages(context()).list(UsageQuery{repository, "", 10, false}));
    REQUIRE(listed.has_value());
    return listed->rows.empty() ? 0 : listed->rows.front().usage.logical_bytes();
  }
  // As a client that does not say how much will come. Empty, or the reason of the refusal.
  std::string upload(const std::string& repository, const std::string& content, bool announced = false) {
    const auto id = uploads->start(name(repository), actor, DigestAlgorithm::sha256).value();
    last_upload = id;
    TextSource source(content, announced);
    return outcome(
        sync_wait(uploads->finish(name(repository), id, source, std::nullopt, digest_of(content), actor)));
  }
  std::string room(const std::string& repository) { return outcome(uploads->has_room(name(repository))); }
  std::string mount(const std::string& repository, const std::string& content) {
    return outcome(
        sync_wait(registry->mount_blob(BlobMount{name(repository), digest_of(content), name("a"), actor})));
  }
  std::optional<UploadId> last_upload;
};

const std::string large(1000, 'l'), larger(1001, 'm'), small(10, 's');

TEST_CASE("quota: a blob counts when it comes, and one that is too much leaves nothing") {
  QuotaRegistry registry;
  registry.limit(1000);
  CHECK(registry.upload("full/a", larger) == "QUOTA_EXCEEDED");
  CHECK(registry.last_message.find("full/a may hold 1000 bytes, by quota q (line 2) of the policy (full/**), "
                                   "and holds 0 bytes; this push adds 1001 bytes, which is 1 byte too "
                                   "much") != std::string::npos);
  CHECK(registry.used("full/a") == 0);
  CHECK(registry.files("blobs") == 0);
  CHECK(registry.files("uploads") == 0);
  CHECK_FALSE(registry.uploads->known(*registry.last_upload));
  CHECK(registry.count("events WHERE action = 'blob.push'") == 0);
  CHECK(registry.upload("full/a", large) == "");
  CHECK(registry.used("full/a") == 1000);
  CHECK(registry.upload("full/a", small) == "QUOTA_EXCEEDED");
  CHECK(registry.upload("full/b", large) == "");  // each repository by itself
  CHECK(registry.upload("free/a", larger) == "");
  CHECK(registry.quota_refusals == 2);
}

TEST_CASE("quota: what is already there adds nothing, however full its repository is") {
  QuotaRegistry registry;
  REQUIRE(registry.upload("full/a", large) == "");
  REQUIRE(registry.push(image({"x"}), {"v1"}, "full/a").empty());
  registry.limit(1);
  CHECK(registry.upload("full/a", large) == "");
  CHECK(registry.upload("full/a", large, true) == "");
  CHECK(registry.push(image({"x"}), {"v1"}, "full/a").empty());
  CHECK(registry.push(image({"x"}), {"v2"}, "full/a").empty());
  CHECK(registry.promote("v1", "full/a", {"v3"}, "full/a").empty());
  CHECK(registry.remove("v3", "full/a").empty());
  CHECK(registry.points_to("v2", "full/a") == digest_of(image({"x"})));
  CHECK(registry.quota_refusals == 0);
}

TEST_CASE("quota: an upload whose bytes were acknowledged is refused at its end, and ends") {
  QuotaRegistry registry;
  registry.limit(1500);
  const auto of = name("full/a");
  const auto id = registry.uploads->start(of, registry.actor, DigestAlgorithm::sha256).value();
  for (int part = 0; part < 2; ++part) {
    TextSource source(large);
    REQUIRE(sync_wait(registry.uploads->append(of, id, source, std::nullopt, registry.actor)).has_value());
  }
  TextSource nothing("");
  CHECK(registry.outcome(sync_wait(registry.uploads->finish(
            of, id, nothing, std::nullopt, digest_of(large + large), registry.actor))) == "QUOTA_EXCEEDED");
  CHECK_FALSE(registry.uploads->known(id));
  CHECK(registry.files("uploads") == 0);
  CHECK(registry.count("uploads") == 0);
}

TEST_CASE("quota: what was announced is refused before a byte of it is read") {
  struct Untouched final : ByteSource {
    Task<Result<std::size_t>> read_full(ByteSpan) override {
      touched = true;
      co_return std::size_t{0};
    }
    std::optional<std::uint64_t> length() const override { return 1001; }
    bool touched = false;
  };
  QuotaRegistry registry;
  registry.limit(1000);
  const auto of = name("full/a");
  const auto id = registry.uploads->start(of, registry.actor, DigestAlgorithm::sha256).value();
  Untouched source;
  CHECK(registry.outcome(sync_wait(registry.uploads->finish(of, id, source, std::nullopt, digest_of(larger),
                                                            registry.actor))) == "QUOTA_EXCEEDED");
  CHECK_FALSE(source.touched);
}

TEST_CASE("quota: an upload begins only where there is room for something") {
  QuotaRegistry registry;
  registry.limit(1000);
  CHECK(registry.room("full/a") == "");
  REQUIRE(registry.upload("full/a", large) == "");
  CHECK(registry.room("full/a") == "QUOTA_EXCEEDED");
  CHECK(registry.last_message.find("holds 1000 bytes: nothing more can be pushed to it") !=
        std::string::npos);
  CHECK(registry.room("other") == "");
  // While something is damaged, what comes may be what mends it.
  registry.quarantine->add(digest_of("damaged"));
  CHECK(registry.room("full/a") == "");
  registry.quarantine->remove(digest_of("damaged"));
  registry.limit(1001);
  CHECK(registry.room("full/a") == "");
}

TEST_CASE("quota: a manifest counts too, and is refused whole, with its tags") {
  QuotaRegistry registry;
  const std::string first = image({"l"}, "1.0.0"), second = image({"l"}, "1.0.1");
  REQUIRE(first.size() == second.size());
  registry.limit(static_cast<std::int64_t>(first.size()));
  CHECK(registry.push(first, {"latest"}, "full/a").empty());
  CHECK(registry.push(second, {"latest", "new"}, "full/a") == "QUOTA_EXCEEDED");
  CHECK(registry.points_to("latest", "full/a") == digest_of(first));
  CHECK_FALSE(registry.points_to("new", "full/a").has_value());
  CHECK(registry.used("full/a") == static_cast<std::int64_t>(first.size()));
  // A tag rule's refusal comes first: a larger quota would not help.
  REQUIRE(registry.push(first, {"1.0.0"}, "full/a").empty());
  CHECK(registry.push(second, {"1.0.0"}, "full/a") != "QUOTA_EXCEEDED");
  // What a mirror keeps, its own size bounds.
  const auto manifest = Manifest::parse(media_type::oci_manifest, second);
  REQUIRE(manifest.has_value());
  ManifestPush kept{name("full/a"),          digest_of(second), {}, *manifest, second,
                    DigestAlgorithm::sha256, registry.actor};
  kept.bound_by_quota = false;
  CHECK(sync_wait(registry.registry->put_manifest(std::move(kept))).has_value());
}

TEST_CASE("quota: a mount is refused as an upload is") {
  QuotaRegistry registry;
  registry.push_blob("a", large);
  registry.push_blob("a", larger);
  registry.limit(1000);
  CHECK(registry.mount("full/a", larger) == "QUOTA_EXCEEDED");
  CHECK(registry.mount("full/a", large) == "");
  CHECK(registry.mount("full/a", large) == "");
  CHECK(registry.used("full/a") == 1000);
}

TEST_CASE("quota: a promotion into a full repository takes nothing and moves no tag") {
  QuotaRegistry registry;
  registry.push_blob("a", large);
  const std::string bytes = image({large}, "1.0.0");
  REQUIRE(registry.push(bytes, {"1.0.0"}).empty());
  const auto needed = static_cast<std::int64_t>(bytes.size() + large.size());
  registry.limit(needed - 1);
  CHECK(registry.promote("1.0.0", "full/a", {"1.0.0"}) == "QUOTA_EXCEEDED");
  CHECK(registry.used("full/a") == 0);
  CHECK_FALSE(registry.points_to("1.0.0", "full/a").has_value());
  registry.limit(needed);
  CHECK(registry.promote("1.0.0", "full/a", {"1.0.0"}) == "");
  CHECK(registry.used("full/a") == needed);
  registry.limit(1);
  CHECK(registry.promote("1.0.0", "full/a", {"1.0.0", "latest"}) == "");  // only a tag more
}

TEST_CASE("quota: of two pushes at once that are too much together, exactly one is let in") {
  for (int round = 0; round < 20; ++round) {
    QuotaRegistry registry;
    registry.limit(1500);
    std::latch both(2);
    std::string said[2];
    std::thread threads[2];
    for (int i = 0; i < 2; ++i) {
      threads[i] = std::thread([&, i] {
        const std::string content(1000, static_cast<char>('a' + i));
        const auto of = name("full/a");
        const auto id = registry.uploads->start(of, registry.actor, DigestAlgorithm::sha256).value();
        TextSource source(content, false);
        both.arrive_and_wait();
        const auto finished = sync_wait(
            registry.uploads->finish(of, id, source, std::nullopt, digest_of(content), registry.actor));
        said[i] = finished ? "" : finished.error().details().front().value;
      });
    }
    for (std::thread& thread : threads) thread.join();
    INFO(said[0] << " / " << said[1]);
    CHECK(said[0] + said[1] == "QUOTA_EXCEEDED");
    CHECK(registry.used("full/a") == 1000);
    CHECK(registry.files("blobs") == 1);
  }
}

TEST_CASE("quota: usage says how much a repository may hold") {
  QuotaRegistry registry;
  registry.limit(1500);
  for (const char* repository : {"full/a", "free"}) REQUIRE(registry.upload(repository, large) == "");
  auto listed = sync_wait(Usages(registry.context()).list(UsageQuery{"", "", 10, false}));
  REQUIRE(listed.has_value());
  REQUIRE(listed->rows.size() == 2);
  CHECK_FALSE(listed->rows[0].quota.has_value());
  CHECK(listed->rows[1].quota == 1500u);
}

}  // namespace
}  // namespace stele
