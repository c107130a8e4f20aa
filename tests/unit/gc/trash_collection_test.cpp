// The trash and the collector: a blob goes when neither a manifest nor the trash needs it, and not before
// (I5).

#include <map>
#include <random>
#include <set>

#include "gc/worker.hpp"
#include "storage/catalog/usage.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/seed.hpp"
#include "tests/unit/registry/trash_fixture.hpp"

namespace stele {
namespace {

using namespace rules_test;

TEST_CASE("gc trash: what the trash needs stays, and goes when it is erased (I5)") {
  TrashFixture registry;
  const Digest digest = registry.push({"own", "shared"}, {"pr-1"});
  const Digest other = registry.push({"shared"}, {"pr-2"});
  const std::int64_t id = registry.throw_away(digest);
  CHECK(registry.collect_later() == 0);
  CHECK(registry.files("blobs") == 3);
  REQUIRE(registry.erase(id).empty());
  SECTION("at once: the trash was the lease") {
    CHECK(registry.collect() == 1);
    CHECK_FALSE(registry.has_file(digest_of("own")));
    CHECK(registry.has_file(digest_of("shared")));
  }
  SECTION("after a restart") {
    registry.restart();
    CHECK(registry.collect() == 1);
    CHECK(registry.has(other));
  }
  SECTION("not while somebody looks at it") {
    REQUIRE(registry.registry->blob_size(name("a"), digest_of("own")).has_value());
    CHECK(registry.collect() == 0);
    CHECK(registry.collect_later() == 1);
  }
  CHECK(registry.files("blobs") == 2);
}

TEST_CASE("gc trash: a manifest that was pushed again is out of the trash: deleted, it goes with its blobs") {
  TrashFixture registry;
  const Digest digest = registry.push({"l1"}, {"pr-1"});
  const std::int64_t id = registry.throw_away(digest);
  registry.push({"l1"}, {"again"});
  REQUIRE(sync_wait(registry.registry->delete_manifest(name("a"), digest, registry.actor)).has_value());
  CHECK(registry.restore(id) == "CONTENT_MISSING");  // its name alone is left there
  CHECK(registry.collect_later() == 2);
  CHECK_FALSE(registry.has_file(digest_of("l1")));
}

TEST_CASE("gc trash: the worker erases what is due, and counts") {
  TrashFixture registry;
  for (int i = 0; i < 40; ++i)
    registry.throw_away(registry.push({"layer " + std::to_string(i)}, {"pr-" + std::to_string(i)}));
  gc::Worker worker(registry.context());
  CHECK(worker.status()->trash.manifests == 40);
  CHECK(worker.status()->trash.bytes > 40 * 100);
  CHECK(worker.status()->erased.items == 0);
  registry.pass(15 * TrashFixture::day);
  CHECK(eventually([&] { return worker.progress().total.blobs_removed == 41; }));
  CHECK(worker.progress().erased.items == 40);
  CHECK(worker.status()->trash.manifests == 0);
  CHECK(registry.files("blobs") == 0);
  CHECK(registry.count("events WHERE action = 'trash.erase'") == 40);
}

// What a random history should leave, kept in the simplest way.
class Model {
 public:
  explicit Model(std::uint64_t seed) : random_(seed) {}

  void step() {
    switch (draw(7)) {
      case 0:
      case 1:
        return push();
      case 2:
        return throw_away();
      case 3:
        return restore();
      case 4:
        return erase();
      case 5:
        return remove();
      default:
        registry_.pass(TrashFixture::day);
    }
  }

  // When nobody has a lease any more the files are exactly what live manifests and the trash name.
  void check() {
    registry_.collect_later();
    std::set<std::string> needed;
    for (const auto& layers : live_) add(layers, needed);
    for (const auto& item : trash_) add(item.second, needed);
    REQUIRE(registry_.files("blobs") == needed.size());
    for (const std::string& content : needed) REQUIRE(registry_.has_file(digest_of(content)));
    REQUIRE(registry_.count("trash") == static_cast<std::int64_t>(trash_.size()));
    REQUIRE(registry_.count("manifests") == static_cast<std::int64_t>(live_.size()));
    REQUIRE(registry_.count("reviews") == 0);
    const auto counted = registry_.database->read([](sql::Session& session) -> Result<bool> {
      const auto id = catalog::find_repository(session, name("a"));
      return !id || catalog::find_usage(session, *id) == catalog::recount_usage(session, *id);
    });
    REQUIRE(counted.value());
  }

 private:
  using Layers = std::vector<std::string>;

  unsigned draw(std::size_t below) { return static_cast<unsigned>(random_() % below); }
  static void add(const Layers& layers, std::set<std::string>& needed) {
    needed.insert("{}");
    needed.insert(layers.begin(), layers.end());
  }
  Layers some_layers() {
    Layers layers;
    for (unsigned i = 0; i < 5; ++i) {
      if (draw(2) == 0) layers.push_back("layer " + std::to_string(i));
    }
    return layers;
  }
  const Layers& any_live() { return *std::next(live_.begin(), draw(live_.size())); }
  std::int64_t any_item() { return std::next(trash_.begin(), draw(trash_.size()))->first; }

  void push() {
    const Layers layers = some_layers();
    registry_.push(layers, {});
    live_.insert(layers);
    std::erase_if(trash_, [&](const auto& item) { return item.second == layers; });  // it came out of it
  }
  void throw_away() {
    if (live_.empty()) return;
    const Layers layers = any_live();
    trash_.emplace(registry_.throw_away(digest_of(image(layers))), layers);
    live_.erase(layers);
  }
  void restore() {
    if (trash_.empty()) return;
    const std::int64_t id = any_item();
    REQUIRE(registry_.restore(id).empty());
    live_.insert(trash_.at(id));
    trash_.erase(id);
  }
  void erase() {
    if (trash_.empty()) return;
    const std::int64_t id = any_item();
    REQUIRE(registry_.erase(id).empty());
    trash_.erase(id);
  }
  void remove() {
    if (live_.empty()) return;
    const Layers layers = any_live();
    REQUIRE(
        sync_wait(registry_.registry->delete_manifest(name("a"), digest_of(image(layers)), registry_.actor))
            .has_value());
    live_.erase(layers);
  }

  TrashFixture registry_;
  std::mt19937_64 random_;
  std::set<Layers> live_;
  std::map<std::int64_t, Layers> trash_;
};

TEST_CASE("gc trash: after a random history the files are those that are needed, and no others (I5)") {
  for (const std::uint64_t seed : test_seeds(12)) {
    INFO("TEST_SEED=" << seed);
    Model model(seed);
    for (int round = 0; round < 8; ++round) {
      for (int i = 0; i < 12; ++i) model.step();
      model.check();
    }
  }
}

}  // namespace
}  // namespace stele
