// Blobs whose bytes are wrong: found, kept from everybody, mended by whoever pushes them again (I6).
#include <thread>

#include "gc/blob_check.hpp"
#include "storage/catalog/quarantine.hpp"
#include "tests/support/injecting_file_layer.hpp"
#include "tests/unit/gc/damage.hpp"
#include "tests/unit/gc/fake_source.hpp"

namespace stele {
namespace {

using namespace gc_test;
using gc::Thoroughness;
using gc::Verdict;

Verdict judge(RegistryFixture& fixture, const Digest& digest,
              Thoroughness thoroughness = Thoroughness::content) {
  gc::BlobCheck check(fixture.context(), *fixture.uploads, nullptr);
  const auto judged = sync_wait(check.judge(digest, thoroughness, fixture.actor));
  INFO((judged ? judged->problem : judged.error().message()));
  REQUIRE(judged.has_value());
  return judged->verdict;
}

bool quarantined(RegistryFixture& fixture, const Digest& digest) {
  const bool row = fixture.count("quarantine q JOIN blobs b ON b.id = q.blob_id WHERE b.digest = '" +
                                 digest.str() + "'") == 1;
  CHECK(row == fixture.quarantine->holds(digest));
  return row;
}

std::string problem_of(RegistryFixture& fixture) {
  return fixture.database
      ->read([](sql::Session& session) -> Result<std::string> {
        return catalog::list_quarantine(session, "", 9).at(0).problem;
      })
      .value();
}

TEST_CASE("quarantine: a file that is missing, too short, or has other bytes; a right one stays (I6)") {
  Settled fixture;
  const std::string content = "the right bytes";
  const Digest digest = fixture.push_blob("a", content);
  CHECK(judge(fixture, digest) == Verdict::right);
  std::string problem;
  bool moved = true;
  SECTION("missing") {
    lose(fixture, digest);
    problem = "the file is missing";
    moved = false;
  }
  SECTION("short") {
    cut(fixture, digest);
    problem = "the file has 14 bytes instead of 15";
  }
  SECTION("other bytes") {
    flip(fixture, digest, content);
    problem = "the file's content has the digest sha256:";
  }
  CHECK(judge(fixture, digest) == Verdict::quarantined);
  CHECK(quarantined(fixture, digest));
  CHECK(problem_of(fixture).starts_with(problem));
  CHECK(fixture.count("events WHERE action = 'blob.quarantine' AND old_digest = '" + digest.str() +
                      "' AND actor = 'tester'") == 1);
  CHECK_FALSE(fixture.has_file(digest));
  CHECK(std::filesystem::exists(file_aside(fixture, digest)) == moved);
  // Once more finds nothing new.
  CHECK(judge(fixture, digest) == Verdict::known);
  CHECK(fixture.count("events WHERE action = 'blob.quarantine'") == 1);
}

TEST_CASE(
    "quarantine: the blob is not there for anybody, until it is pushed again, by whomever (I2, I6, I9)") {
  Settled fixture;
  const std::string content = "{}";
  const Digest digest = fixture.push_blob("a", content);
  REQUIRE(sync_wait(fixture.registry->mount_blob({name("b"), digest, name("a"), fixture.actor})).value());
  REQUIRE(fixture.push_image(image_of(digest)).has_value());
  flip(fixture, digest, content);
  REQUIRE(judge(fixture, digest) == Verdict::quarantined);
  const bool across_restart = GENERATE(false, true);
  if (across_restart) fixture.restart();

  for (const char* repository : {"a", "b"}) {
    const auto size = fixture.registry->blob_size(name(repository), digest);
    REQUIRE_FALSE(size.has_value());
    CHECK(size.error().code() == Errc::blob_unknown);
    CHECK(size.error().message().find("quarantine") != std::string::npos);
    CHECK(fixture.registry->blob(name(repository), digest).error().code() == Errc::blob_unknown);
  }
  // Who does not have it does not learn of it either.
  CHECK(fixture.registry->blob_size(name("c"), digest).error().message().find("quarantine") ==
        std::string::npos);
  CHECK_FALSE(*sync_wait(fixture.registry->mount_blob({name("c"), digest, name("a"), fixture.actor})));
  CHECK_FALSE(*sync_wait(fixture.registry->mount_blob({name("c"), digest, std::nullopt, fixture.actor})));
  const auto refused = fixture.push_image(image_of(digest, "another"), "v2");
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code() == Errc::manifest_reference_unknown);
  CHECK(fixture.count("manifests") == 1);

  fixture.push_blob("d", content);
  CHECK_FALSE(quarantined(fixture, digest));
  CHECK(fixture.count("events WHERE action = 'blob.repaired' AND new_digest = '" + digest.str() +
                      "' AND repository = 'd'") == 1);
  for (const char* repository : {"a", "b", "d"}) CHECK(fixture.has(repository, digest));
  CHECK(judge(fixture, digest) == Verdict::right);
  CHECK(fixture.push_image(image_of(digest, "another"), "v2").has_value());
  CHECK(*sync_wait(fixture.registry->mount_blob({name("c"), digest, name("a"), fixture.actor})));
}

TEST_CASE("quarantine: a push takes the place of a wrong file that could not be moved away (I6)") {
  const TestDirectory directory;
  fs::InjectingFileLayer layer(directory.path);
  Settled fixture({.path = directory.path, .layer = &layer});
  const std::string content = "the right bytes";
  const Digest digest = fixture.push_blob("a", content);
  flip(fixture, digest, content);
  layer.inject({.call = fs::Call::rename, .error = EIO});
  REQUIRE(judge(fixture, digest) == Verdict::quarantined);
  REQUIRE(fixture.has_file(digest));
  CHECK_FALSE(fixture.has("a", digest));
  SECTION("by a push") {
    fixture.push_blob("a", content);
    CHECK(judge(fixture, digest) == Verdict::right);
    CHECK(fixture.has("a", digest));
  }
  SECTION("the next look moves it") {
    CHECK(judge(fixture, digest) == Verdict::known);
    CHECK_FALSE(fixture.has_file(digest));
    CHECK(std::filesystem::exists(file_aside(fixture, digest)));
  }
}

TEST_CASE("quarantine: a file put back by hand is believed after it was hashed, not for its size (I6)") {
  Settled fixture;
  const std::string content = "the right bytes";
  const Digest digest = fixture.push_blob("a", content);
  flip(fixture, digest, content);
  REQUIRE(judge(fixture, digest) == Verdict::quarantined);
  std::filesystem::rename(file_aside(fixture, digest), file_of(fixture, digest));
  CHECK(judge(fixture, digest, Thoroughness::size) == Verdict::known);
  CHECK(judge(fixture, digest) == Verdict::known);
  CHECK_FALSE(fixture.has("a", digest));
  std::filesystem::rename(file_aside(fixture, digest), file_of(fixture, digest));
  overwrite(file_of(fixture, digest), content);
  CHECK(judge(fixture, digest) == Verdict::released);
  CHECK_FALSE(quarantined(fixture, digest));
  CHECK(fixture.has("a", digest));
  CHECK(fixture.count("events WHERE action = 'blob.repaired'") == 1);
}

TEST_CASE("quarantine: a row with the wrong size is mended with the blob (I6)") {
  Settled fixture;
  const Digest digest = fixture.push_blob("a", "the right bytes");
  damage_rows(fixture, "UPDATE blobs SET size = 3");
  fixture.restart();
  REQUIRE(judge(fixture, digest) == Verdict::quarantined);
  fixture.push_blob("a", "the right bytes");
  CHECK(fixture.registry->blob_size(name("a"), digest).value() == 15);
}

TEST_CASE("quarantine: what cannot be written down is served as before (I7)") {
  Settled fixture;
  const Digest digest = fixture.push_blob("a", "the right bytes");
  flip(fixture, digest, "the right bytes");
  fixture.latch.close("a sync failed");
  gc::BlobCheck check(fixture.context(), *fixture.uploads, nullptr);
  const auto judged = sync_wait(check.judge(digest, Thoroughness::content, fixture.actor));
  REQUIRE_FALSE(judged.has_value());
  CHECK_FALSE(quarantined(fixture, digest));
  CHECK(fixture.has_file(digest));
}

TEST_CASE(
    "quarantine: a blob that is gone, or going, is no damage; collected, its quarantine goes too (I5)") {
  Settled fixture;
  const Digest digest = fixture.push_blob("a", "idle");
  CHECK(judge(fixture, Digest::of(DigestAlgorithm::sha256, "never there")) == Verdict::gone);
  SECTION("being removed") {
    damage_rows(fixture, "UPDATE blobs SET state = 'deleting'");
    fixture.restart();
    lose(fixture, digest);
    CHECK(judge(fixture, digest) == Verdict::gone);
    CHECK(fixture.count("quarantine") == 0);
  }
  SECTION("collected from quarantine, and pushed later") {
    lose(fixture, digest);
    REQUIRE(judge(fixture, digest) == Verdict::quarantined);
    CHECK(fixture.collect_after(lease + 1).blobs_removed == 1);
    CHECK(fixture.count("quarantine") == 0);
    CHECK(fixture.quarantine->size() == 0);
    fixture.push_blob("a", "idle");
    CHECK(fixture.has("a", digest));
  }
}

TEST_CASE("quarantine: a GET that meets a missing or short file has the blob looked at") {
  Settled fixture;
  const Digest lost = fixture.push_blob("a", "lost");
  const Digest shorter = fixture.push_blob("a", "shorter");
  const Digest right = fixture.push_blob("a", "right");
  lose(fixture, lost);
  cut(fixture, shorter);
  for (const Digest& digest : {lost, shorter})
    CHECK(fixture.registry->blob(name("a"), digest).error().code() == Errc::corrupt);
  CHECK(fixture.registry->blob(name("a"), right).has_value());
  auto suspects = fixture.quarantine->take_suspects();
  std::sort(suspects.begin(), suspects.end());
  std::vector<Digest> expected{lost, shorter};
  std::sort(expected.begin(), expected.end());
  CHECK(suspects == expected);
  CHECK(fixture.quarantine->take_suspects().empty());
}

TEST_CASE("quarantine: repair from a source: right bytes, wrong bytes, none, no answer (I6)") {
  Settled fixture;
  const std::string content = "the right bytes";
  const Digest digest = fixture.push_blob("a", content);
  REQUIRE(sync_wait(fixture.registry->mount_blob({name("b"), digest, name("a"), fixture.actor})).value());
  flip(fixture, digest, content);
  FakeSource source;
  gc::BlobCheck check(fixture.context(), *fixture.uploads, &source);
  REQUIRE(sync_wait(check.judge(digest, Thoroughness::content, fixture.actor))->verdict ==
          Verdict::quarantined);
  const auto repair = [&] { return sync_wait(check.repair(digest, fixture.actor)); };
  CHECK_FALSE(repair().value());
  CHECK(source.asked == std::vector<RepositoryName>{name("a"), name("b")});
  source.content = "the wrong bytes";
  CHECK(repair().error().code() == Errc::digest_mismatch);
  source.content = "";
  CHECK(repair().error().code() == Errc::digest_mismatch);
  source.fails = true;
  CHECK(repair().error().code() == Errc::unavailable);
  CHECK(quarantined(fixture, digest));
  CHECK(fixture.files("uploads") == 0);
  source.fails = false;
  source.content = content;
  CHECK(repair().value());
  CHECK_FALSE(quarantined(fixture, digest));
  CHECK(fixture.has("b", digest));
  CHECK(fixture.files("uploads") == 0);
  CHECK(judge(fixture, digest) == Verdict::right);
  CHECK(fixture.count("repository_blobs") == 2);
}

TEST_CASE("quarantine race: blobs are checked while others push, delete and collect them (I5, I6)") {
  Settled fixture;
  const std::string content = "again and again";
  const Digest digest = Digest::of(DigestAlgorithm::sha256, content);
  std::atomic<bool> stop{false};
  std::atomic<int> looked{0};
  std::thread checker([&] {
    gc::BlobCheck check(fixture.context(), *fixture.uploads, nullptr);
    while (!stop) {
      const auto judged = sync_wait(check.judge(digest, Thoroughness::content, fixture.actor));
      if (judged) ++looked;
    }
  });
  std::thread collecting([&] {
    gc::Collector collector(fixture.context());
    while (!stop) [[maybe_unused]]
      const auto step = sync_wait(collector.step());
  });
  for (int i = 0; i < 300; ++i) {
    fixture.push_blob("a", content);
    CHECK(fixture.has("a", digest));
    fixture.clock.advance(lease + 1);
    std::this_thread::yield();
  }
  stop = true;
  checker.join();
  collecting.join();
  CHECK(looked > 0);
  CHECK(fixture.count("events WHERE action = 'blob.quarantine'") == 0);
}

}  // namespace
}  // namespace stele
