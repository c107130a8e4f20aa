// Clients at work on a blob while it is collected (I1, I2, I5).

#include "gc/collector.hpp"

#include <atomic>
#include <random>
#include <thread>

#include "gc/sweep.hpp"
#include "gc/worker.hpp"
#include "registry/repositories.hpp"
#include "registry/retention.hpp"
#include "storage/catalog/meta.hpp"
#include "tests/support/effort.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/injecting_file_layer.hpp"
#include "tests/support/seed.hpp"
#include "tests/unit/gc/settled_fixture.hpp"

namespace stele {
namespace {

using namespace gc_test;

// Somebody works on one blob, which is due for collection each time, while the collector never stops.
class Race {
 public:
  explicit Race(Settled& fixture) : fixture_(fixture), thread_([this] { collect(); }) {}
  ~Race() {
    const bool raced = eventually([this] { return removed_ > 0; });
    stop_ = true;
    thread_.join();
    CHECK(raced);
  }
  // What is idle now is due from now on.
  void let_go() {
    fixture_.clock.advance(lease + 1);
    // Sometimes before the next turn, sometimes in the middle of it.
    for (unsigned i = 0; i < turn_ % 7; ++i) std::this_thread::yield();
    ++turn_;
  }

 private:
  void collect() {
    gc::Collector collector(fixture_.context());
    while (!stop_) {
      const auto step = sync_wait(collector.step());
      if (step) removed_ += step->links_removed;
    }
  }
  Settled& fixture_;
  std::atomic<bool> stop_{false};
  std::atomic<std::uint64_t> removed_{0};
  unsigned turn_ = 0;
  std::thread thread_;
};

constexpr int turns = 400;

TEST_CASE("gc race: HEAD says the blob exists and GC removes it before the manifest arrives (I2, I5)") {
  Settled fixture;
  const Digest digest = fixture.push_blob("a", "{}");
  int existed = 0;
  {
    Race race(fixture);
    for (int i = 0; i < turns || existed == i; ++i) {  // until it was removed once
      if (fixture.has("a", digest)) {
        ++existed;
      } else {
        fixture.push_blob("a", "{}");
      }
      const auto image = fixture.push_image(image_of(digest, std::to_string(i)));
      REQUIRE(image.has_value());
      REQUIRE(fixture.registry->blob(name("a"), digest).has_value());
      REQUIRE(fixture.delete_image(image->digest));
      race.let_go();
    }
  }
}

TEST_CASE("gc race: ten thousand pushes whose manifest comes any part of a lease later (I1, I2, I5; L24)") {
  Settled fixture;
  const std::uint64_t seed = test_seed("gc race");  // it does not repeat what the threads did
  INFO("TEST_SEED=" << seed);
  std::mt19937_64 random(seed);
  int existed = 0;
  {
    Race race(fixture);
    for (unsigned i = 0; i < 10'000; i += test_every()) {
      // Every other turn it is a blob of its own; else one whose manifest went a moment ago: who is told that
      // it exists may count on it, who is not pushes it.
      const std::string content = i / test_every() % 2 == 0 ? "own " + std::to_string(i) : "shared";
      const Digest digest = Digest::of(DigestAlgorithm::sha256, content);
      if (fixture.has("a", digest)) {
        ++existed;
      } else {
        fixture.push_blob("a", content);
      }
      fixture.clock.advance(static_cast<std::int64_t>(random() % lease));
      const auto image = fixture.push_image(image_of(digest, std::to_string(i)));
      REQUIRE(image.has_value());
      REQUIRE(fixture.content("a", digest) == content);
      REQUIRE(fixture.delete_image(image->digest));
      race.let_go();
    }
  }
  INFO(existed);
  CHECK(existed > 0);
}

TEST_CASE("gc race: push of the same digest while its file is being unlinked (I1, I5)") {
  Settled fixture;
  const Digest digest = Digest::of(DigestAlgorithm::sha256, "again and again");
  Race race(fixture);
  for (int i = 0; i < turns; ++i) {
    fixture.push_blob("a", "again and again");
    REQUIRE(fixture.content("a", digest) == "again and again");
    race.let_go();
  }
}

// The sweep of orphan files, without any grace, as often as it can.
class Sweeping {
 public:
  explicit Sweeping(Settled& fixture) : fixture_(fixture), thread_([this] { sweep(); }) {}
  ~Sweeping() {
    stop_ = true;
    thread_.join();
    CHECK(passes_ > 0);
    CHECK(failed_ == 0);
  }

 private:
  void sweep() {
    const gc::SweepLimits limits{.grace_seconds = 0, .remove_many = true};
    while (!stop_) {
      const auto done = sync_wait(gc::sweep(fixture_.context(), *fixture_.uploads, limits));
      failed_ += !done;
      ++passes_;
    }
  }
  Settled& fixture_;
  std::atomic<bool> stop_{false};
  std::atomic<int> passes_{0};
  std::atomic<int> failed_{0};
  std::thread thread_;
};

TEST_CASE("gc race: mount during sweep, and while the blob is being collected (I5)") {
  Settled fixture;
  const Digest digest = Digest::of(DigestAlgorithm::sha256, "mounted");
  int mounted = 0;
  {
    Race race(fixture);
    const Sweeping sweeping(fixture);
    for (int i = 0; i < turns; ++i) {
      if (!fixture.has("a", digest)) fixture.push_blob("a", "mounted");
      race.let_go();
      const auto done =
          sync_wait(fixture.registry->mount_blob({name("b"), digest, name("a"), fixture.actor}));
      REQUIRE(done.has_value());
      if (!*done) continue;
      ++mounted;
      const auto content = fixture.registry->blob(name("b"), digest);
      INFO((content ? std::string() : content.error().message()));
      REQUIRE(content.has_value());
      race.let_go();
    }
  }
  INFO(mounted);
  CHECK(mounted > 0);
}

TEST_CASE("gc race: a manifest names the blob that is being taken away; one of the two gives way (I2, I5)") {
  Settled fixture;
  const Digest digest = Digest::of(DigestAlgorithm::sha256, "{}");
  int accepted = 0, refused = 0;
  {
    Race race(fixture);
    for (int i = 0; i < turns; ++i) {
      if (i % 2 == 0) fixture.push_blob("a", "{}");
      race.let_go();
      // Nobody has asked for it for longer than a lease.
      const auto image = fixture.push_image(image_of(digest, std::to_string(i)));
      if (!image) {
        REQUIRE(image.error().code() == Errc::manifest_reference_unknown);
        ++refused;
        continue;
      }
      ++accepted;
      fixture.clock.advance(lease + 1);
      std::this_thread::yield();
      REQUIRE(fixture.registry->blob(name("a"), digest).has_value());
      REQUIRE(fixture.delete_image(image->digest));
    }
  }
  INFO(accepted << " accepted, " << refused << " refused");
  CHECK(accepted > 0);
  CHECK(refused > 0);
}

}  // namespace
}  // namespace stele
