// registry/pull_times.hpp: what the catalog learns of pulls, and what readers are told meanwhile.

#include "registry/pull_times.hpp"

#include <map>
#include <random>
#include <thread>

#include "registry/registry.hpp"
#include "tests/unit/registry/pulls_fixture.hpp"

namespace stele {
namespace {

using namespace pulls_test;

TEST_CASE("pulls: nothing is known before the first flush, and from then on everything") {
  PullsFixture at;
  CHECK_FALSE(at.pulls->since());
  CHECK(at.pulls->remark().empty());  // a first start is nothing to worry about
  at.clock.advance(7);
  CHECK(at.flush().written == 0);
  CHECK(at.pulls->since() == at.clock.now());
  const Timestamp since = at.clock.now();
  at.clock.advance(7);
  at.flush();
  CHECK(at.pulls->since() == since);
}

TEST_CASE("pulls: a pull is known at once, and in the catalog after a flush") {
  PullsFixture at;
  const auto ids = at.add_manifests("prod/app", 2);
  at.clock.advance(1);
  at.pull(ids[0]);
  const Timestamp rounded = at.clock.now() + (PullsFixture::tick - 1'000'000);
  CHECK(at.known(ids[0]) == rounded);
  CHECK_FALSE(at.known(ids[1]));
  CHECK_FALSE(at.in_catalog(ids[0]));
  CHECK(at.pulls->statistics().dirty == 1);
  CHECK(at.flush().written == 1);
  CHECK(at.in_catalog(ids[0]) == rounded);
  CHECK(at.known(ids[0]) == rounded);
  CHECK(at.pulls->statistics().dirty == 0);
  CHECK(at.flush().written == 0);
}

TEST_CASE("pulls: of what the catalog and the table say, the later holds") {
  PullsFixture at;
  const auto ids = at.add_manifests("prod/app", 1);
  at.pull(ids[0]);
  const Timestamp earlier = at.clock.now(), later = earlier + 5 * PullsFixture::tick;
  at.write([&](sql::Tx& tx) { catalog::raise_pulled_at(tx, ids[0], later); });
  CHECK(at.known(ids[0]) == later);
  at.flush();
  CHECK(at.in_catalog(ids[0]) == later);
  at.clock.advance(3 * 3600);
  at.pull(ids[0]);
  CHECK(at.known(ids[0]) == at.clock.now());
}

TEST_CASE("pulls: all of one repository, wherever they stand") {
  PullsFixture at;
  const auto here = at.add_manifests("prod/app", 4), there = at.add_manifests("other", 2);
  at.pull(here[0]);
  at.pull(there[0]);
  at.flush();
  at.clock.advance(3600);
  at.pull(here[1]);
  at.pull(here[0]);
  std::map<catalog::ManifestId, Timestamp> found;
  at.read([&](sql::Session& session) {
    const auto repository = catalog::find_repository(session, RepositoryName::parse("prod/app").value());
    at.pulls->visit(session, *repository, [&](catalog::ManifestId id, Timestamp when) { found[id] = when; });
    return 0;
  });
  CHECK(found ==
        std::map<catalog::ManifestId, Timestamp>{{here[0], at.clock.now()}, {here[1], at.clock.now()}});
}

TEST_CASE("pulls: a manifest that is gone by the flush is dropped without a word") {
  PullsFixture at;
  const auto ids = at.add_manifests("prod/app", 2);
  at.pull(ids[0]);
  at.pull(ids[1]);
  at.write([&](sql::Tx& tx) { catalog::delete_manifest(tx, ids[0], {9}); });
  CHECK(at.flush().written == 2);
  CHECK_FALSE(at.in_catalog(ids[0]));
  CHECK(at.in_catalog(ids[1]));
  CHECK(at.pulls->statistics().dirty == 0);
}

TEST_CASE("pulls: a flush takes a limited number, and says that there is more") {
  PullsFixture at;
  const auto ids = at.add_manifests("prod/app", 25);
  for (const auto id : ids) at.pull(id);
  int rounds = 0;
  std::size_t written = 0;
  for (bool more = true; more; ++rounds) {
    const auto flushed = at.flush(10);
    written += flushed.written;
    more = flushed.more;
  }
  CHECK(rounds == 3);
  CHECK(written == 25);
  for (const auto id : ids) CHECK(at.in_catalog(id));
}

TEST_CASE("pulls: what could not be written is written the next time (I7)") {
  PullsFixture at;
  const auto ids = at.add_manifests("prod/app", 3);
  at.flush();
  const auto since = at.pulls->since();
  for (const auto id : ids) at.pull(id);
  at.latch->close("for this test");
  const auto refused = at.pulls->flush();
  REQUIRE(refused.has_error());
  CHECK(refused.error().code() == Errc::read_only);
  CHECK(at.pulls->statistics().dirty == 3);
  CHECK(at.known(ids[2]));
  CHECK(at.pulls->since() == since);
  CHECK(at.pulls->close().has_error());
  at.crash_and_open();
  CHECK(at.flush().written == 3);
  CHECK(at.in_catalog(ids[2]));
  CHECK(at.pulls->since() == since);
}

TEST_CASE("pulls: one for which there is no room begins the record anew (I8)") {
  PullsFixture at;
  at.flush();
  const Timestamp first = at.clock.now();
  at.clock.advance(100);
  at.pull(catalog::ManifestId(std::int64_t{1} << 50));
  CHECK_FALSE(at.pulls->since());
  CHECK(at.pulls->statistics().lost == 1);
  at.clock.advance(100);
  CHECK(at.flush().lost == 1);
  CHECK(at.pulls->since() == first + 200'000'000);
  CHECK(at.flush().lost == 0);
  at.crash_and_open();
  CHECK(at.pulls->since() == first + 200'000'000);
}

TEST_CASE("pulls: a table that is full makes room an hour after the catalog has what is in it") {
  PullsFixture at;
  at.flush();
  for (std::size_t n = 1; n <= PullsFixture::words; ++n) at.pull(catalog::ManifestId(static_cast<int>(n)));
  const auto flush_all = [&] {
    while (at.flush().more) {
    }
  };
  flush_all();
  at.clock.advance(1800);
  flush_all();
  at.pull(catalog::ManifestId(99'999));
  CHECK_FALSE(at.pulls->since());
  flush_all();
  for (int n = 0; n < 10; ++n) {
    at.clock.advance(1200);
    flush_all();
  }
  at.pull(catalog::ManifestId(99'999));
  CHECK(at.pulls->since());
}

TEST_CASE("pulls: a reader with an older snapshot misses nothing") {
  PullsFixture at;
  const auto ids = at.add_manifests("prod/app", 1);
  at.flush();
  const auto seen = at.read([&](sql::Session& session) {
    CHECK_FALSE(at.pulls->pulled_at(session, ids[0]));
    at.pull(ids[0]);
    std::thread([&] { at.flush(); }).join();
    CHECK_FALSE(catalog::pulled_at(session, ids[0]));  // its snapshot is from before
    return at.pulls->pulled_at(session, ids[0]);
  });
  CHECK(seen == at.clock.now());
}

TEST_CASE("pulls: threads that pull, one that flushes and one that reads") {
  PullsFixture at;
  const auto ids = at.add_manifests("prod/app", 200);
  at.flush();
  const auto since = at.pulls->since();
  const Timestamp begin = at.clock.now();
  constexpr int threads = 4, rounds = 20'000;
  std::atomic<int> running{threads};
  std::atomic<int> wrong{0};
  std::vector<std::thread> all;
  std::vector<std::map<catalog::ManifestId, Timestamp>> latest(threads);
  for (int number = 0; number < threads; ++number) {
    all.emplace_back([&, number] {
      std::minstd_rand random(static_cast<unsigned>(number + 1));
      for (int n = 0; n < rounds; ++n) {
        const auto id = ids[random() % ids.size()];
        const Timestamp now = begin + n / 200 * PullsFixture::tick;
        at.pulls->record(id, now);
        latest[static_cast<std::size_t>(number)][id] = now;
      }
      --running;
    });
  }
  all.emplace_back([&] {
    std::map<catalog::ManifestId, Timestamp> before;
    while (running > 0) {
      const auto id = ids[before.size() * 7 % ids.size()];
      const auto now = at.database->read([&](sql::Session& session) -> Result<std::optional<Timestamp>> {
        return at.pulls->pulled_at(session, id);
      });
      if (!now) ++wrong;
      if (now && *now) {
        if (before.contains(id) && **now < before[id]) ++wrong;  // never back
        before[id] = **now;
      }
      if (at.pulls->since() != since) ++wrong;
      static_cast<void>(at.pulls->statistics());
    }
  });
  while (running > 0) {
    if (!at.pulls->flush(50)) ++wrong;
  }
  for (auto& thread : all) thread.join();
  at.close();
  CHECK(wrong == 0);
  for (const auto& thread : latest) {
    for (const auto& [id, pulled] : thread) REQUIRE(at.in_catalog(id) >= pulled);
  }
}

TEST_CASE("pulls: a manifest's row is what is counted, by tag and by digest, also for a large one") {
  RegistryFixture fixture(ReferenceMode::sparse);
  const auto name = RepositoryName::parse("a").value();
  std::string large = image(2);
  large.insert(large.size() - 2, R"(,"filler":")" + std::string(200'000, 'x') + '"');
  std::vector<catalog::ManifestId> ids;
  for (const std::string& bytes : {image(1), large}) {
    const Manifest manifest = Manifest::parse("", bytes).value();
    ManifestPush push{name,  Reference::parse("v1").value(), {},           manifest,
                      bytes, DigestAlgorithm::sha256,        fixture.actor};
    const auto pushed = sync_wait(fixture.registry->put_manifest(std::move(push)));
    REQUIRE(pushed.has_value());
    const Reference tag = Reference::parse("v1").value(),
                    digest = Reference::parse(pushed->digest.str()).value();
    const auto by_tag = sync_wait(fixture.registry->manifest(name, tag));
    const auto by_digest = sync_wait(fixture.registry->manifest(name, digest));
    REQUIRE(by_tag.has_value());
    REQUIRE(by_digest.has_value());
    CHECK(by_tag->id == by_digest->id);
    CHECK(by_tag->bytes == bytes);
    const auto pulled = [&] {
      return fixture.database
          ->read([&](sql::Session& session) -> Result<std::optional<Timestamp>> {
            return fixture.pulls->pulled_at(session, by_tag->id);
          })
          .value();
    };
    CHECK_FALSE(pulled());  // reading is not pulling
    fixture.registry->count_pull(*by_tag);
    CHECK(pulled() >= fixture.clock.now());
    ids.push_back(by_tag->id);
  }
  CHECK(ids[0] != ids[1]);
}

}  // namespace
}  // namespace stele
