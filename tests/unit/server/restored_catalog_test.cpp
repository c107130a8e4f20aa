// A catalog restored from a snapshot (A17): what it does not list may be all that is left of what came later.

#include "server/restored_catalog.hpp"

#include "gc/pause.hpp"
#include "gc/sweep.hpp"
#include "tests/support/registry_fixture.hpp"

namespace stele {
namespace {

std::optional<std::string> paused(RegistryFixture& fixture) {
  return gc::Pause(fixture.context(), "collection").now().value();
}

gc::SweepReport sweep(RegistryFixture& fixture, const RestoredCatalog& restored, bool remove_many) {
  gc::SweepLimits limits{.grace_seconds = 0};
  limits.older_catalog = restored.found();
  limits.remove_many = remove_many;
  return sync_wait(gc::sweep(fixture.context(), *fixture.uploads, limits)).value();
}

TEST_CASE("server: on a restored catalog no blob goes before somebody has said so (I5)") {
  const TestDirectory directory;
  const std::string note = directory.path + "/newest-event";
  {
    RegistryFixture before(ReferenceMode::strict, {}, {.path = directory.path});
    RestoredCatalog catalog(note, before.context());
    REQUIRE(catalog.look().has_value());
    CHECK_FALSE(catalog.found());
    before.push_blob("a", "early");
    REQUIRE(before.database->copy_to(directory.path + "/snapshot.db").has_value());
    before.push_blob("a", "late");
    REQUIRE(catalog.note().has_value());
  }
  SECTION("the same catalog is not taken for one") {
    RegistryFixture after(ReferenceMode::strict, {}, {.path = directory.path});
    RestoredCatalog catalog(note, after.context());
    REQUIRE(catalog.look().has_value());
    CHECK_FALSE(catalog.found());
    CHECK_FALSE(paused(after));
  }
  SECTION("the snapshot is") {
    for (const char* name : {"stele.db", "stele.db-wal", "stele.db-shm"})
      std::filesystem::remove(directory.path + "/" + name);
    std::filesystem::rename(directory.path + "/snapshot.db", directory.path + "/stele.db");
    RegistryFixture after(ReferenceMode::strict, {}, {.path = directory.path});
    {
      RestoredCatalog catalog(note, after.context());
      REQUIRE(catalog.look().has_value());
      CHECK(catalog.found());
    }
    // Also at the next start, when its events have gone on.
    RestoredCatalog catalog(note, after.context());
    REQUIRE(catalog.look().has_value());
    CHECK(catalog.found());
    CHECK(paused(after).value_or("").find("stele gc resume") != std::string::npos);
    const gc::SweepReport withheld = sweep(after, catalog, false);
    CHECK(withheld.withheld == 1);
    CHECK(withheld.blobs_removed == 0);
    CHECK(after.files("blobs") == 2);
    CHECK(sweep(after, catalog, true).blobs_removed == 1);
    REQUIRE(catalog.confirm().has_value());
    CHECK_FALSE(catalog.found());
    CHECK(paused(after).has_value());  // an administrator's to end
  }
}

}  // namespace
}  // namespace stele
