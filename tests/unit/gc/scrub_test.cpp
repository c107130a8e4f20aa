#include "gc/scrub.hpp"

#include "tests/support/eventually.hpp"
#include "tests/unit/gc/damage.hpp"
#include "tests/unit/gc/fake_source.hpp"

namespace stele {
namespace {

using namespace gc_test;

gc::ScrubSettings at_once() {
  gc::ScrubSettings settings;
  settings.quiet = std::chrono::milliseconds(0);
  settings.rate = std::uint64_t{1} << 40;
  return settings;
}

std::vector<std::string> push_many(RegistryFixture& fixture, int count) {
  std::vector<std::string> contents;
  for (int i = 0; i < count; ++i) {
    contents.push_back("content " + std::to_string(i));
    fixture.push_blob("a", contents.back());
  }
  return contents;
}

Digest sha(const std::string& text) {
  return Digest::of(DigestAlgorithm::sha256, text);
}

TEST_CASE("scrub: a pass finds what is damaged, and says so; what is right stays (I6)") {
  Settled fixture;
  const auto contents = push_many(fixture, 250);
  flip(fixture, sha(contents[3]), contents[3]);
  lose(fixture, sha(contents[100]));
  cut(fixture, sha(contents[249]));
  std::mutex mutex;
  std::vector<std::string> lines;
  gc::ScrubSettings settings = at_once();
  settings.alarm = [&](const std::string& line) {
    const std::lock_guard lock(mutex);
    lines.push_back(line);
  };
  gc::Scrub scrub(fixture.context(), *fixture.uploads, nullptr, settings);
  REQUIRE(sync_wait(scrub.start(fixture.actor)).has_value());
  REQUIRE(eventually([&] { return !scrub.status().running; }));
  const gc::ScrubStatus status = scrub.status();
  CHECK(status.pass.blobs == 250);
  CHECK(status.pass.damaged == 3);
  CHECK(status.total.damaged == 3);
  CHECK(status.pass.repaired == 0);
  CHECK(status.quarantined == 3);
  CHECK(status.pass.finished);
  CHECK(status.problem.empty());
  CHECK(fixture.count("quarantine") == 3);
  CHECK(fixture.count("events WHERE action = 'scrub.start' AND actor = 'tester'") == 1);
  CHECK(fixture.count("events WHERE action = 'blob.quarantine' AND actor = 'system'") == 3);
  CHECK(fixture.files("blobs") == 247);
  const std::lock_guard lock(mutex);
  CHECK(lines.size() == 3);
  for (const std::string& line : lines) CHECK(line.find("push") != std::string::npos);
}

TEST_CASE("scrub: what a mirror's upstream has is fetched anew, now or in a later pass (I6)") {
  Settled fixture;
  const auto contents = push_many(fixture, 20);
  flip(fixture, sha(contents[7]), contents[7]);
  FakeSource source;
  source.fails = true;
  std::mutex mutex;
  std::string said;
  gc::ScrubSettings settings = at_once();
  settings.alarm = [&](const std::string& line) {
    const std::lock_guard lock(mutex);
    said += line + "\n";
  };
  const auto says = [&](const std::string& words) {
    const std::lock_guard lock(mutex);
    return said.find(words) != std::string::npos;
  };
  gc::Scrub scrub(fixture.context(), *fixture.uploads, &source, settings);
  const auto pass = [&] {
    REQUIRE(sync_wait(scrub.start(fixture.actor)).has_value());
    REQUIRE(eventually([&] { return !scrub.status().running; }));
    return scrub.status();
  };
  CHECK(pass().quarantined == 1);
  CHECK(says("could not be fetched again from its upstream"));
  source.fails = false;
  source.content = "what upstream made of it";
  CHECK(pass().quarantined == 1);
  source.content = contents[7];
  const gc::ScrubStatus mended = pass();
  CHECK(mended.quarantined == 0);
  CHECK(mended.pass.repaired == 1);
  CHECK(mended.total.repaired == 1);
  CHECK(says("is mended"));
  CHECK(source.asked == std::vector<RepositoryName>{RepositoryName::parse("a").value()});
  CHECK(fixture.files("blobs") == 20);
  CHECK(fixture.count("events WHERE action = 'blob.repaired'") == 1);
  CHECK(pass().pass.damaged == 0);
}

TEST_CASE("scrub: it goes on after a restart where it was") {
  Settled fixture;
  const auto contents = push_many(fixture, 40);
  gc::ScrubSettings slow = at_once();
  slow.rate = 64 * 1024 * 8;  // eight of these blobs in a second: whoever looks sees it long before the end
  {
    gc::Scrub scrub(fixture.context(), *fixture.uploads, nullptr, slow);
    REQUIRE(sync_wait(scrub.start(fixture.actor)).has_value());
    REQUIRE(eventually([&] { return scrub.status().pass.blobs >= 4; }));
  }
  const auto reached = fixture.database->read([](sql::Session& session) -> Result<catalog::ScrubProgress> {
    return catalog::find_scrub_progress(session);
  });
  REQUIRE(reached.has_value());
  CHECK_FALSE(reached->finished);
  CHECK(reached->blobs >= 4);
  REQUIRE(reached->blobs < 40);
  fixture.restart();
  {
    gc::ScrubSettings quiet = at_once();
    quiet.quiet = std::chrono::hours(1);
    gc::Scrub scrub(fixture.context(), *fixture.uploads, nullptr, quiet);
    CHECK(scrub.status().running);
    CHECK(scrub.status().pass == *reached);
    CHECK(scrub.status().done > 0);
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    CHECK(scrub.status().pass == *reached);
    CHECK(sync_wait(scrub.start(fixture.actor)).error().code() == Errc::parameter_invalid);
  }
  fixture.restart();
  gc::Scrub scrub(fixture.context(), *fixture.uploads, nullptr, at_once());
  REQUIRE(eventually([&] { return !scrub.status().running; }));
  CHECK(scrub.status().pass.blobs == 40);
  CHECK(scrub.status().total.blobs == 40 - reached->blobs);
  CHECK(scrub.status().pass.begun == reached->begun);
}

TEST_CASE("scrub: passes begin by themselves, the first one some time after the first start") {
  Settled fixture;
  push_many(fixture, 3);
  gc::Scrub scrub(fixture.context(), *fixture.uploads, nullptr, at_once());
  REQUIRE(eventually([&] { return scrub.status().next.has_value(); }));
  const Timestamp next = *scrub.status().next;
  CHECK(next == fixture.clock.now() + std::int64_t{7} * 86'400 * 1'000'000);
  CHECK_FALSE(scrub.status().running);
  fixture.clock.advance(7 * 86'400 + 1);
  REQUIRE(eventually([&] { return scrub.status().pass.finished.has_value(); }));
  CHECK(scrub.status().pass.blobs == 3);
  CHECK(*scrub.status().next > next);
  CHECK(fixture.count("events WHERE action = 'scrub.start'") == 0);
}

TEST_CASE("scrub: off, it only does what it is asked for") {
  Settled fixture;
  push_many(fixture, 3);
  gc::ScrubSettings off = at_once();
  off.every_seconds = 0;
  gc::Scrub scrub(fixture.context(), *fixture.uploads, nullptr, off);
  fixture.clock.advance(100 * 86'400);
  CHECK_FALSE(scrub.status().next);
  REQUIRE(sync_wait(scrub.start(fixture.actor)).has_value());
  REQUIRE(eventually([&] { return scrub.status().pass.finished.has_value(); }));
  CHECK(scrub.status().pass.blobs == 3);
}

TEST_CASE("scrub: a pause holds in the middle of a blob and across restarts") {
  Settled fixture;
  const std::string large(8 << 20, 'x');
  fixture.push_blob("a", large);
  gc::ScrubSettings slow = at_once();
  slow.rate = 256 << 10;  // half a minute for it
  const auto start = [&] {
    return std::make_unique<gc::Scrub>(fixture.context(), *fixture.uploads, nullptr, slow);
  };
  auto scrub = start();
  REQUIRE(sync_wait(scrub->start(fixture.actor)).has_value());
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  REQUIRE(sync_wait(scrub->pause("the disk is busy", fixture.actor)).has_value());
  CHECK(sync_wait(scrub->pause("again", fixture.actor)).error().code() == Errc::parameter_invalid);
  CHECK(sync_wait(scrub->start(fixture.actor)).error().code() == Errc::parameter_invalid);
  scrub.reset();
  fixture.restart();
  slow = at_once();
  scrub = start();
  CHECK(scrub->status().paused.value_or("").ends_with("by tester: the disk is busy"));
  CHECK(scrub->status().running);
  CHECK(scrub->status().pass.blobs == 0);
  REQUIRE(sync_wait(scrub->resume(fixture.actor)).has_value());
  CHECK(sync_wait(scrub->resume(fixture.actor)).error().code() == Errc::parameter_invalid);
  REQUIRE(eventually([&] { return !scrub->status().running; }));
  CHECK(scrub->status().pass.blobs == 1);
  CHECK(scrub->status().pass.bytes == large.size());
  CHECK(fixture.count("events WHERE action IN ('scrub.pause', 'scrub.resume')") == 2);
}

TEST_CASE("scrub: so much damage means another thing than damaged blobs: it pauses itself") {
  Settled fixture;
  const auto contents = push_many(fixture, 20);
  for (const std::string& content : contents) lose(fixture, sha(content));
  gc::ScrubSettings settings = at_once();
  settings.plausible_damage = 5;
  gc::Scrub scrub(fixture.context(), *fixture.uploads, nullptr, settings);
  REQUIRE(sync_wait(scrub.start(fixture.actor)).has_value());
  REQUIRE(eventually([&] { return scrub.status().paused.has_value(); }));
  CHECK(scrub.status().quarantined == 6);
  CHECK(scrub.status().running);
  REQUIRE(sync_wait(scrub.resume(fixture.actor)).has_value());
  REQUIRE(eventually([&] { return scrub.status().paused.has_value(); }));
  CHECK(scrub.status().quarantined == 12);
}

TEST_CASE("scrub: what a GET met is looked at without waiting for a pass") {
  Settled fixture;
  const Digest digest = fixture.push_blob("a", "lost");
  lose(fixture, digest);
  gc::ScrubSettings settings = at_once();
  settings.quiet = std::chrono::hours(1);
  gc::Scrub scrub(fixture.context(), *fixture.uploads, nullptr, settings);
  CHECK(fixture.registry->blob(name("a"), digest).error().code() == Errc::corrupt);
  REQUIRE(eventually([&] { return scrub.status().quarantined == 1; }));
  CHECK(fixture.registry->blob(name("a"), digest).error().code() == Errc::blob_unknown);
}

}  // namespace
}  // namespace stele
