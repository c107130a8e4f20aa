// Tags under their rules, by every road that the registry has (I3, I4).

#include <atomic>
#include <cstdlib>
#include <iostream>
#include <map>
#include <random>
#include <thread>

#include "registry/repositories.hpp"
#include "registry/tag_rules.hpp"
#include "tests/support/faulty_vfs.hpp"
#include "tests/support/injecting_file_layer.hpp"
#include "tests/unit/registry/rules_fixture.hpp"

namespace stele::tag_rules_test {
namespace {

using namespace rules_test;
using Rules = RulesFixture;

const std::string one = image({"l1"}, "1.0.0"), two = image({"l1", "l2"}, "1.1.0"),
                  three = image({"l2"}, "0.9.0"), four = image({"l1", "l2", "l3"});

TEST_CASE("tag rules: an immutable name is bound once, by every road (I3)") {
  Rules registry;
  const bool several = GENERATE(false, true);
  const auto push = [&](const std::string& bytes) {
    return !several ? registry.push(bytes, {"1.0.0"}) : registry.push(bytes, {"latest", "1.0.0", "other"});
  };
  REQUIRE(push(one).empty());
  const auto history = registry.count("tag_history");
  CHECK(push(two) == "TAG_IMMUTABLE");
  CHECK(registry.points_to("1.0.0") == digest_of(one));
  if (several) CHECK(registry.points_to("latest") == digest_of(one));  // all or none
  CHECK(push(one).empty());                                            // the same again changes nothing
  CHECK(registry.count("tag_history") == history);
  CHECK(registry.remove("1.0.0") == "TAG_DELETE_DENIED");
  CHECK(registry.remove(digest_of(one).str()) == "TAG_DELETE_DENIED");
  CHECK(registry.points_to("1.0.0") == digest_of(one));
  // Each refusal has its record, with rule, reason and both digests (I4).
  CHECK(registry.count("events WHERE action = 'tag.refused'") == 3);
  CHECK(
      registry.count(
          "events WHERE action = 'tag.refused' AND rule = 'releases' AND reason = 'TAG_IMMUTABLE' AND tag = "
          "'1.0.0' AND old_digest = '" +
          digest_of(one).str() + "' AND new_digest = '" + digest_of(two).str() +
          "' AND actor = 'tester' AND request_id = 'request-1'") == 1);
  CHECK(registry.count("events WHERE action = 'tag.set' AND tag = '1.0.0' AND rule = 'releases'") == 1);
  CHECK(registry.push(two, {}).empty());  // by digest alone: always
  CHECK(registry.count("manifests") == 2);
}

TEST_CASE("tag rules: a refused push leaves nothing but its record") {
  Rules registry;
  REQUIRE(registry.push(one, {"1.0.0"}).empty());
  CHECK(registry.push(two, {"new", "1.0.0"}) == "TAG_IMMUTABLE");
  CHECK(registry.count("manifests") == 1);
  CHECK(registry.count("tags") == 1);
  CHECK_FALSE(registry.points_to("new").has_value());
}

TEST_CASE("tag rules: a name deleted under delete: allow stays bound until its rule changes (I3)") {
  Rules registry;
  const std::string allow =
      "tag_rules: [{name: r, tags: [\"@semver\"], mutability: immutable, delete: allow}]\n";
  registry.use(allow);
  REQUIRE(registry.push(one, {"1.0.0", "latest"}).empty());
  const bool by_digest = GENERATE(false, true);
  REQUIRE(registry.remove(by_digest ? digest_of(one).str() : "1.0.0").empty());
  CHECK_FALSE(registry.points_to("1.0.0").has_value());
  CHECK(registry.push(two, {"1.0.0"}) == "TAG_IMMUTABLE");
  CHECK(registry.last_message.find("was deleted and stays bound to " + digest_of(one).str()) !=
        std::string::npos);
  registry.restart();
  CHECK(registry.push(two, {"1.0.0"}) == "TAG_IMMUTABLE");

  SECTION("the same digest comes back") {
    REQUIRE(registry.push(one, {"1.0.0"}).empty());
    CHECK(registry.push(two, {"1.0.0"}) == "TAG_IMMUTABLE");
    CHECK(registry.count("removed_names") == 0);
  }
  SECTION("another repository's name is another name") {
    CHECK(registry.push(two, {"1.0.0"}, "b").empty());
  }
  SECTION("a laxer policy releases it, with a record; a stricter one later does not bring it back") {
    registry.use("tag_rules: []\n");
    CHECK(registry.count("removed_names") == 0);
    CHECK(registry.count("events WHERE action = 'name.released' AND tag = '1.0.0'") == 1);
    registry.use(allow);
    CHECK(registry.push(two, {"1.0.0"}).empty());
    CHECK(registry.push(one, {"1.0.0"}) == "TAG_IMMUTABLE");
  }
  SECTION("a policy that says the same in other words keeps it") {
    registry.use("tag_rules: [{name: other, tags: [\"1.*\"], mutability: immutable}]\n");
    CHECK(registry.push(two, {"1.0.0"}) == "TAG_IMMUTABLE");
  }
}

TEST_CASE("tag rules: a rule that becomes stricter binds the tags that are there") {
  Rules registry;
  REQUIRE(registry.push(one, {"stable"}).empty());
  REQUIRE(registry.push(two, {"stable"}).empty());
  registry.use("tag_rules: [{name: r, tags: [stable], mutability: immutable}]\n");
  CHECK(registry.push(one, {"stable"}) == "TAG_IMMUTABLE");
  CHECK(registry.push(two, {"stable"}).empty());
  CHECK(registry.remove("stable") == "TAG_DELETE_DENIED");
}

TEST_CASE("tag rules: append-only keeps what the tag had, across a deletion too") {
  Rules registry;
  registry.use("tag_rules: [{name: s, tags: [log], mutability: append-only, delete: allow}]\n");
  REQUIRE(registry.push(one, {"log"}).empty());
  REQUIRE(registry.push(two, {"log"}).empty());
  CHECK(registry.push(one, {"log"}) == "TAG_APPEND_ONLY");
  CHECK(registry.last_message.find(digest_of("l2").str()) != std::string::npos);
  REQUIRE(registry.remove("log").empty());
  REQUIRE(registry.remove(digest_of(two).str()).empty());
  CHECK(registry.push(three, {"log"}) == "TAG_APPEND_ONLY");
  CHECK(registry.push(four, {"log"}).empty());
}

TEST_CASE("tag rules: forward-only never goes back, across a deletion too") {
  Rules registry;
  registry.use("tag_rules: [{name: f, tags: [latest], mutability: forward-only}]\n");
  REQUIRE(registry.push(one, {"latest"}).empty());
  CHECK(registry.push(three, {"latest"}) == "TAG_FORWARD_ONLY");
  CHECK(registry.last_message.find("whose version 0.9.0 (annotation of the manifest) is older than 1.0.0") !=
        std::string::npos);
  REQUIRE(registry.push(two, {"latest"}).empty());
  CHECK(registry.push(one, {"latest"}) == "TAG_FORWARD_ONLY");
  CHECK(registry.push(four, {"latest"}) == "TAG_FORWARD_ONLY");  // says no version, the present one does
  REQUIRE(registry.remove("latest").empty());
  REQUIRE(registry.remove(digest_of(two).str()).empty());
  CHECK(registry.push(one, {"latest"}) == "TAG_FORWARD_ONLY");
  CHECK(registry.push(two, {"latest"}).empty());
}

TEST_CASE(
    "tag rules: the version comes from the image configuration's labels, and for an index from its images") {
  Rules registry;
  registry.use("tag_rules: [{name: f, tags: [latest], mutability: forward-only}]\n");
  const std::string old = registry.labelled("1.0.0"), next = registry.labelled("2.0.0");
  REQUIRE(registry.push(next, {"latest"}).empty());
  CHECK(registry.push(old, {"latest"}) == "TAG_FORWARD_ONLY");
  REQUIRE(registry.push(old, {}).empty());
  const auto push_index = [&](const std::vector<std::string>& children) {
    return registry.push(index_of(children, true), {"latest"}, "a", media_type::oci_index);
  };
  CHECK(push_index({old}) == "TAG_FORWARD_ONLY");
  CHECK(registry.last_message.find("older than 2.0.0") != std::string::npos);
  CHECK(push_index({old, next}) == "TAG_FORWARD_ONLY");
  CHECK(registry.last_message.find("has no version") != std::string::npos);  // they do not agree
  CHECK(push_index({next}).empty());
}

template <class T>
Task<T> outcome_of(Pending<T> pending) {
  co_return co_await pending;
}

TEST_CASE("tag rules: forward-only takes the tag for the version, and says what was read where") {
  RulesFixture registry(ReferenceMode::sparse);
  registry.use("tag_rules: [{name: f, tags: [latest, lts], mutability: forward-only}]\n");
  const auto wrong = registry.labelled("24.04"), right = registry.labelled("1.4.3");
  REQUIRE(registry.push(wrong, {"latest"}).empty());
  CHECK(registry.push(right, {"latest"}) == "TAG_FORWARD_ONLY");
  CHECK(registry.last_message.find(
            "whose version 1.4.3 (label of the configuration) is older than 24.04 (label of "
            "the configuration)") != std::string::npos);
  CHECK(registry.last_message.find(
            "push a new tag, or free the name if 24.04 is not its own (stele tag release)") !=
        std::string::npos);
  // The same image under the tag that says what it is, in whatever order the tags are named.
  REQUIRE(registry.push(wrong, {"1.4.2"}).empty());
  REQUIRE(registry.push(right, {"latest", "1.4.3"}).empty());
  CHECK(registry.points_to("latest") == digest_of(right));
  CHECK(registry.push(wrong, {"latest"}) == "TAG_FORWARD_ONLY");
  CHECK(registry.last_message.find("whose version 1.4.2 (its tag) is older than 1.4.3 (its tag)") !=
        std::string::npos);
  // 1.4 is no version of one image.
  const auto other = registry.labelled("1.4.9");
  REQUIRE(registry.push(other, {"1.4"}).empty());
  CHECK(registry.push(other, {"latest"}).empty());
}

TEST_CASE("tag rules: forward-only does not count a version that is the base image's") {
  RulesFixture registry(ReferenceMode::sparse);
  registry.use("tag_rules: [{name: f, tags: [latest], mutability: forward-only}]\n");
  const auto of_base = [&](const std::string& version, const std::string& annotations) {
    std::string manifest = registry.labelled(version);
    return manifest.insert(manifest.size() - 1, ",\"annotations\":{" + annotations + "}");
  };
  const std::string ubuntu = R"("org.opencontainers.image.base.name":"docker.io/library/ubuntu:24.04")";
  REQUIRE(registry.push(of_base("24.04", ubuntu), {"latest"}).empty());
  CHECK(registry.push(of_base("1.4.3", ubuntu), {"latest"}).empty());
  CHECK(registry.push(of_base("24.04", ubuntu), {"latest"}) == "TAG_FORWARD_ONLY");
  CHECK(registry.last_message.find("which has no version to compare with 1.4.3") != std::string::npos);
  CHECK(registry.push(of_base("1.4.2", ubuntu), {"latest"}) == "TAG_FORWARD_ONLY");
  // By its digest, where the base image is here.
  const auto base = registry.labelled("9.0");
  REQUIRE(registry.push(base, {"base"}).empty());
  const std::string by_digest = "\"org.opencontainers.image.base.digest\":\"" + digest_of(base).str() + "\"";
  CHECK(registry.push(of_base("9.0", by_digest), {"latest"}) == "TAG_FORWARD_ONLY");
  CHECK(registry.last_message.find("which has no version") != std::string::npos);
  CHECK(registry.push(of_base("9.1", by_digest), {"latest"}).empty());
}

TEST_CASE("tag rules: forward-only refuses while the present version cannot be read (I8)") {
  TestDirectory directory;
  fs::InjectingFileLayer layer(directory.path);
  Rules registry(ReferenceMode::sparse, RegistryPlace{directory.path, &layer});
  registry.use("tag_rules: [{name: f, tags: [latest], mutability: forward-only}]\n");
  const std::string old = registry.labelled("1.0.0"), next = registry.labelled("2.0.0");
  REQUIRE(registry.push(next, {"latest"}).empty());
  bool passes = false;
  SECTION("no descriptor is left") {
    layer.inject({.call = fs::Call::open, .error = EMFILE, .from_then_on = true});
  }
  SECTION("the configuration cannot be read") {
    layer.inject({.call = fs::Call::pread, .error = EIO, .from_then_on = true});
  }
  SECTION("the configuration is lost") {
    REQUIRE(registry.blobs
                ->remove(digest_of(R"({"config":{"Labels":{"org.opencontainers.image.version":"2.0.0"}}})"))
                .has_value());
  }
  SECTION("the stored manifest is damaged") {
    auto damaging = registry.writer->write({}, [&](sql::Tx& tx) -> Result<void> {
      tx.execute("UPDATE manifests SET bytes = x'7b7d' WHERE digest = $1", digest_of(next).str());
      return {};
    });
    REQUIRE(sync_wait(outcome_of(std::move(damaging))).has_value());
  }
  SECTION("a configuration that does say so is no obstacle") {
    passes = true;
  }
  const auto history = registry.count("tag_history");
  CHECK(registry.push(old, {"latest"}) == (passes ? "TAG_FORWARD_ONLY" : "unavailable"));
  CHECK(registry.count("tag_history") == history);
  layer.clear_faults();
}

// The next batch begins on the writer's thread before whoever loads the policy hears of its failure.
TEST_CASE("tag rules: a policy whose commit fails decides nothing, also not the next batch (I3, I8)") {
  TestDirectory directory;
  sql::FaultyVfs vfs;
  Rules registry(ReferenceMode::sparse,
                 RegistryPlace{directory.path, &fs::FileLayer::system(), sql::SqliteOptions{vfs.name()}});
  const auto strict = rules("tag_rules: [{name: r, tags: [fixed], mutability: immutable}]\n");
  const auto lax = rules("tag_rules: [{name: r, tags: [fixed], mutability: mutable}]\n");
  registry.use(strict);
  REQUIRE(registry.push(one, {"fixed"}).empty());
  REQUIRE(registry.push(two, {}).empty());
  const auto move_it = [&](sql::Tx& tx) -> Result<void> {
    const auto id = catalog::find_repository(tx, name("a")).value();
    const auto to = catalog::find_manifest(tx, id, digest_of(two)).value().id;
    Orderings none;
    const auto repository = name("a");  // which the rules refer to
    TagRules decided(tx, registry.context(), id, repository, registry.actor, none);
    return decided.bind(tag("fixed"), to, digest_of(two));
  };
  std::atomic<bool> busy{false}, go{false};
  auto blocking = registry.writer->write({}, [&](sql::Tx&) -> Result<void> {
    busy = true;
    busy.notify_all();
    go.wait(false);
    return {};
  });
  busy.wait(false);
  std::thread loader([&] {
    const auto adopted = sync_wait(Policies(registry.context()).adopt(lax, registry.actor));
    if (adopted) std::abort();
  });
  while (registry.writer->statistics().queued == 0) std::this_thread::yield();
  std::optional<Pending<Result<void>>> next;
  bool seen_before_commit = false;
  auto failing = registry.writer->write({}, [&](sql::Tx&) -> Result<void> {
    seen_before_commit = registry.policy.current()->hash() == lax->hash();
    next.emplace(registry.writer->write({}, [&](sql::Tx& tx) -> Result<void> {
      vfs.clear();
      return move_it(tx);
    }));
    vfs.inject({.call = sql::FaultyVfs::Call::write, .error = ENOSPC, .from_then_on = true});
    return {};
  });
  go = true;
  go.notify_all();
  REQUIRE(sync_wait(outcome_of(std::move(blocking))).has_value());
  CHECK_FALSE(sync_wait(outcome_of(std::move(failing))).has_value());
  const auto moved = sync_wait(outcome_of(std::move(*next)));
  loader.join();
  CHECK_FALSE(seen_before_commit);
  CHECK(registry.outcome(moved) == "TAG_IMMUTABLE");
  CHECK(registry.points_to("fixed") == digest_of(one));
  CHECK(registry.policy.current()->hash() == strict->hash());
  registry.use(lax);  // with room again it comes into force
  CHECK(registry.push(two, {"fixed"}).empty());
}

TEST_CASE("tag rules: a refusal beside a version that is still to be read has one record (I4)") {
  Rules registry;
  registry.use(
      "tag_rules: [{name: f, tags: [\"1.4\"], mutability: forward-only, delete: allow}, {name: i, tags: "
      "[\"1.4.2\"], mutability: "
      "immutable}]\n");
  const std::string labelled = registry.labelled("1.4.2");
  REQUIRE(registry.push(labelled, {"1.4", "1.4.2"}).empty());
  const auto removed = sync_wait(Repositories(registry.context()).remove(name("a"), registry.actor));
  CHECK(registry.outcome(removed) == "TAG_DELETE_DENIED");
  CHECK(registry.count("events WHERE action = 'tag.refused'") == 1);
}

TEST_CASE("tag rules: of 32 that push an immutable tag first, one wins (I3)") {
  Rules registry;
  constexpr int pushers = 32;
  const char* const chosen = std::getenv("STELE_RACES");
  const int races = chosen ? std::atoi(chosen) : 20;
  std::vector<std::string> images;
  for (int i = 0; i < pushers; ++i) images.push_back(image({"l" + std::to_string(i)}));
  std::atomic<int> arrived{0}, won{0}, wrong{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < pushers; ++i) {
    threads.emplace_back([&, i] {
      const auto manifest = Manifest::parse(media_type::oci_manifest, images[static_cast<std::size_t>(i)]);
      for (int round = 0; round < races; ++round) {
        ++arrived;
        while (arrived < (round + 1) * pushers) std::this_thread::yield();
        const std::string& bytes = images[static_cast<std::size_t>(i)];
        const auto pushed =
            sync_wait(registry.registry->put_manifest(ManifestPush{name("race"),
                                                                   tag("1.0." + std::to_string(round)),
                                                                   {},
                                                                   *manifest,
                                                                   bytes,
                                                                   DigestAlgorithm::sha256,
                                                                   registry.actor}));
        if (pushed) {
          ++won;
        } else if (pushed.error().code() != Errc::refused_by_policy) {
          ++wrong;
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(won == races);
  CHECK(wrong == 0);
  CHECK(registry.count("tag_history") == races);
  CHECK(registry.count("events WHERE action = 'tag.refused'") == races * (pushers - 1));
  std::cout << "tag rules: " << races << " races of " << pushers << "\n";
}

TEST_CASE("tag rules: forward_by created reads what a plain build writes, and no epoch for a time") {
  Rules registry;
  registry.use("tag_rules: [{name: f, tags: [\"*\"], mutability: forward-only, forward_by: created}]\n");
  // Neither annotation nor label: only the configuration's own member.
  const auto built = [&](const std::string& created) {
    const std::string config = R"({"created":")" + created + R"(","config":{}})";
    const Digest digest = registry.push_blob("a", config);
    return R"({"schemaVersion":2,"mediaType":")" + std::string(media_type::oci_manifest) +
           R"(","config":{"mediaType":"a/b","digest":")" + digest.str() + R"(","size":)" +
           std::to_string(config.size()) + R"(},"layers":[]})";
  };
  const std::string old = built("2026-01-01T00:00:00Z"), next = built("2026-02-01T00:00:00.5Z");
  REQUIRE(registry.push(old, {"latest"}).empty());
  REQUIRE(registry.push(next, {"latest"}).empty());
  CHECK(registry.push(old, {"latest"}) == "TAG_FORWARD_ONLY");
  for (const char* nothing : {"1970-01-01T00:00:00Z", "1980-01-01T00:00:00Z", "1980-01-01T00:00:01Z"}) {
    INFO(nothing);
    CHECK(registry.push(built(nothing), {"latest"}) == "TAG_FORWARD_ONLY");
    CHECK(registry.last_message.find("has no creation time") != std::string::npos);
    // It says nothing, so that nothing is older.
    REQUIRE(registry.push(built(nothing), {std::string("from-") + nothing[2] + nothing[18]}).empty());
    CHECK(registry.push(old, {std::string("from-") + nothing[2] + nothing[18]}).empty());
  }
}

}  // namespace
}  // namespace stele::tag_rules_test
