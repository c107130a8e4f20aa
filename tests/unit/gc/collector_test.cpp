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
#include "tests/unit/gc/settled_fixture.hpp"

namespace stele {
namespace {

using namespace gc_test;

TEST_CASE("gc: a blob that nothing needs goes a lease later, one that is needed stays (I5)") {
  Settled fixture;
  const Digest idle = fixture.push_blob("a", "idle");
  const Digest needed = fixture.push_blob("a", "{}");
  const auto image = fixture.push_image(image_of(needed));
  REQUIRE(image.has_value());
  CHECK(fixture.collect_after(lease - 1).reviews == 0);
  const gc::Collected first = fixture.collect_after(2);
  CHECK(first.reviews == 2);
  CHECK(first.blobs_removed == 1);
  CHECK(first.bytes_freed == 4);
  CHECK_FALSE(fixture.has("a", idle));
  CHECK_FALSE(fixture.has_file(idle));
  CHECK(fixture.has_file(needed));
  CHECK(fixture.count("reviews") == 0);
  CHECK(fixture.count("events WHERE action = 'blob.unlink' AND repository = 'a'") == 1);
  CHECK(fixture.count("events WHERE action = 'blob.collect' AND actor = 'system'") == 1);

  REQUIRE(fixture.delete_image(image->digest));
  CHECK(fixture.collect_after(lease - 1).reviews == 0);
  CHECK(fixture.collect_after(2).blobs_removed == 1);
  CHECK(fixture.files("blobs") == 0);
  CHECK(fixture.count("blobs") == 0);
  CHECK(fixture.count("reviews") == 0);
}

TEST_CASE("gc: whoever looks at a blob, or pushes it again, keeps it for another lease (I5)") {
  Settled fixture;
  const Digest digest = fixture.push_blob("a", "looked at");
  fixture.clock.advance(lease - 10);
  REQUIRE(fixture.has("a", digest));
  CHECK(fixture.collect_after(20).postponed == 1);
  // And where it was looked at: what names it there is about to arrive.
  CHECK(fixture.count("repository_blobs") == 1);
  CHECK(fixture.has_file(digest));
  fixture.push_blob("a", "looked at");
  CHECK(fixture.collect_after(lease - 10).reviews == 0);
  CHECK(fixture.collect_after(20).blobs_removed == 1);
}

TEST_CASE("gc: a step takes a batch and no more, each removed whole, whatever is due") {
  Settled fixture;
  constexpr int all = 20;
  for (int i = 0; i < all; ++i) fixture.push_blob("a", "blob " + std::to_string(i));
  fixture.clock.advance(lease + 1);
  gc::Collector collector(fixture.context(), {.batch = 6});
  for (const std::uint64_t most : {6U, 6U, 6U, 2U, 0U}) {
    const auto step = sync_wait(collector.step());
    REQUIRE(step.has_value());
    CHECK(step->reviews == most);
    CHECK(step->blobs_removed == most);
    // Nothing is under way between the steps: rows and files agree.
    CHECK(fixture.count("blobs") == fixture.count("reviews"));
    CHECK(static_cast<std::int64_t>(fixture.files("blobs")) == fixture.count("blobs"));
  }
}

TEST_CASE("gc: nothing is removed for one lease after a start (I5)") {
  Started fixture;
  const Digest digest = fixture.push_blob("a", "idle");
  // As one from long before the start.
  fixture.write([](sql::Tx& tx) {
    tx.execute("UPDATE reviews SET review_after = 0");
    tx.execute("UPDATE repository_blobs SET linked_at = 0");
  });
  fixture.clock.advance(lease - 1);
  gc::Collector collector(fixture.context());
  CHECK(sync_wait(collector.step())->reviews == 0);
  CHECK(fixture.count("repository_blobs") == 1);
  CHECK(fixture.blobs->open(digest).has_value());
}

TEST_CASE("gc: a blob of two repositories goes with the second (I5)") {
  Settled fixture;
  const Digest digest = fixture.push_blob("a", "shared");
  fixture.clock.advance(60);
  REQUIRE(sync_wait(fixture.registry->mount_blob({name("b"), digest, name("a"), fixture.actor})).value());
  const auto image = fixture.push_image(image_of(digest), "v1", "b");
  REQUIRE(image.has_value());
  const gc::Collected first = fixture.collect_after(lease + 61);
  CHECK(first.links_removed == 1);
  CHECK(first.blobs_removed == 0);
  CHECK_FALSE(fixture.has("a", digest));
  CHECK(fixture.has("b", digest));
  REQUIRE(fixture.delete_image(image->digest, "b"));
  CHECK(fixture.collect_after(lease + 1).blobs_removed == 1);
  CHECK(fixture.files("blobs") == 0);
}

TEST_CASE("gc: what one repository is about to lose is there for the others (I2)") {
  Settled fixture;
  const Digest config = fixture.push_blob("a", "{}");
  fixture.push_blob("b", "{}");
  const auto image = fixture.push_image(image_of(config), "v1", "a");
  REQUIRE(image.has_value());
  REQUIRE(fixture.push_image(image_of(config), "v1", "b").has_value());
  fixture.clock.advance(lease + 1);
  Leases::Removal removal(fixture.context().leases);
  REQUIRE(removal.mark(name("a"), config));
  REQUIRE(removal.mark(name("a"), image->digest));
  const auto has_image = [&](const std::string& repository, const Reference& reference) {
    const auto in = name(repository);
    return sync_wait(fixture.registry->manifest(in, reference)).has_value();
  };
  CHECK(fixture.has("b", config));
  CHECK(has_image("b", image->digest));
  CHECK(has_image("b", tag("v1")));
}

TEST_CASE("gc: who asks while something is being removed finds it as the removal leaves it (I2)") {
  Settled fixture;
  const Digest config = fixture.push_blob("a", "{}");
  const auto image = fixture.push_image(image_of(config), "v1", "a");
  REQUIRE(image.has_value());
  fixture.clock.advance(lease + 1);
  const bool by_tag = GENERATE(false, true);
  std::atomic<int> found{0};
  std::thread client;
  {
    Leases::Removal removal(fixture.context().leases);
    REQUIRE(removal.mark(name("a"), config));
    REQUIRE(removal.mark(name("a"), image->digest));
    client = std::thread([&] {
      found += fixture.has("a", config);
      const auto in = name("a");
      const Reference reference = by_tag ? Reference(tag("v1")) : Reference(image->digest);
      found += sync_wait(fixture.registry->manifest(in, reference)).has_value();
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    // It is given up: both stay.
  }
  client.join();
  CHECK(found == 2);
}

TEST_CASE("gc: a repository that is deleted leaves nothing behind, and nothing of another's goes (I5)") {
  Settled fixture;
  const Digest own = fixture.push_blob("a", "own");
  const Digest shared = fixture.push_blob("a", "{}");
  fixture.push_blob("b", "{}");
  REQUIRE(fixture.push_image(image_of(shared), "v1", "b").has_value());
  REQUIRE(sync_wait(Repositories(fixture.context()).remove(name("a"), fixture.actor)).has_value());
  CHECK(fixture.collect_after(lease + 1).blobs_removed == 1);
  CHECK_FALSE(fixture.has_file(own));
  CHECK(fixture.has("b", shared));
}

TEST_CASE("gc: what a legal hold keeps is not collected (I5)") {
  Settled fixture;
  const Digest digest = fixture.push_blob("a", "evidence");
  const Retention retention(fixture.context());
  const auto hold =
      sync_wait(retention.set_hold({"trial", "77", "", name("a"), std::nullopt, fixture.actor}));
  REQUIRE(hold.has_value());
  CHECK(fixture.collect_after(lease + 1).postponed == 1);
  CHECK(fixture.has_file(digest));
  REQUIRE(sync_wait(retention.release_hold(hold->id, "settled", fixture.actor)).has_value());
  CHECK(fixture.collect_after(2 * lease + 2).blobs_removed == 1);
}

TEST_CASE("gc: a removal that was cut off is finished, before or after its file went") {
  Settled fixture;
  const Digest with_file = fixture.push_blob("a", "one");
  const Digest without = fixture.push_blob("a", "two");
  fixture.clock.advance(lease + 1);
  fixture.write([&](sql::Tx& tx) {
    const auto repository = catalog::find_repository(tx, name("a")).value();
    for (const auto& review : catalog::due_reviews(tx, fixture.clock.now(), 10)) {
      catalog::unlink_blob(tx, repository, review.digest);
      catalog::begin_blob_removal(tx, review.blob);
    }
  });
  REQUIRE(fixture.blobs->remove(without).has_value());
  fixture.restart();
  SECTION("by the collector") {
    CHECK(fixture.collect().blobs_removed == 2);
    CHECK(fixture.count("blobs") == 0);
    CHECK(fixture.files("blobs") == 0);
  }
  SECTION("by whoever pushes the same content first") {
    fixture.push_blob("b", "one");
    fixture.push_blob("b", "two");
    CHECK(fixture.collect().blobs_removed == 0);
    CHECK(fixture.has("b", with_file));
    CHECK(fixture.has("b", without));
    CHECK(fixture.files("blobs") == 2);
  }
}

TEST_CASE("gc: a file that cannot be removed is tried again, and what it was is not served meanwhile") {
  const TestDirectory directory;
  fs::InjectingFileLayer layer(directory.path);
  Settled fixture({.path = directory.path, .layer = &layer});
  const Digest digest = fixture.push_blob("a", "stubborn");
  layer.inject({.call = fs::Call::unlink, .error = EIO});
  const gc::Collected failed = fixture.collect_after(lease + 1);
  CHECK(failed.failed == 1);
  CHECK(failed.blobs_removed == 0);
  CHECK_FALSE(fixture.has("a", digest));
  CHECK(fixture.collect().reviews == 0);
  CHECK(fixture.collect_after(lease).blobs_removed == 1);
  CHECK(fixture.files("blobs") == 0);
}

TEST_CASE("gc: a pause holds across restarts, and says who and why") {
  Settled fixture;
  fixture.push_blob("a", "idle");
  fixture.clock.advance(lease + 1);
  fixture.write([](sql::Tx& tx) { catalog::put_meta(tx, "collection_paused", "since then by me"); });
  {
    gc::Worker worker(fixture.context());
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    CHECK(worker.status()->paused == "since then by me");
    CHECK(worker.status()->due == 1);
    CHECK(worker.progress().total.reviews == 0);
    CHECK(sync_wait(worker.pause("again", fixture.actor)).error().code() == Errc::parameter_invalid);
  }
  CHECK(fixture.files("blobs") == 1);
  gc::Worker worker(fixture.context());
  REQUIRE(sync_wait(worker.resume(fixture.actor)).has_value());
  CHECK(sync_wait(worker.resume(fixture.actor)).error().code() == Errc::parameter_invalid);
  CHECK(eventually([&] { return worker.progress().total.blobs_removed == 1; }));
  CHECK(fixture.files("blobs") == 0);
  REQUIRE(sync_wait(worker.pause("enough", fixture.actor)).has_value());
  CHECK(worker.status()->paused.value_or("").ends_with("by tester: enough"));
  CHECK(fixture.count("events WHERE action = 'collection.pause' AND reason = 'enough'") == 1);
}

}  // namespace
}  // namespace stele
