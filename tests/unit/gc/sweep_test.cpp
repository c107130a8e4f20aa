#include "gc/sweep.hpp"

#include "tests/support/passing_file_layer.hpp"
#include "tests/support/registry_fixture.hpp"

namespace stele {
namespace {

// A published file that no row speaks of, as a crash before the commit leaves it.
Digest orphan(RegistryFixture& fixture, const std::string& content) {
  const Digest digest = Digest::of(DigestAlgorithm::sha256, content);
  const UploadId id = UploadId::random();
  auto writer = fixture.blobs->create(id);
  REQUIRE(writer.has_value());
  REQUIRE((*writer)->append(as_bytes(content)).has_value());
  REQUIRE((*writer)->sync().has_value());
  REQUIRE(fixture.blobs->publish(id, digest).has_value());
  return digest;
}

gc::SweepReport sweep(RegistryFixture& fixture, gc::SweepLimits limits) {
  // File times are the machine's own.
  return sync_wait(gc::sweep(fixture.context(), *fixture.uploads, limits)).value();
}

// The fixture's clock is ahead of the machine's, so that every file is older than any grace below.
TEST_CASE("gc: the sweep removes debris and nothing else (I5)") {
  RegistryFixture fixture;
  const Digest kept = fixture.push_blob("a", "kept");
  const Digest debris = orphan(fixture, "debris");
  const auto name = RepositoryName::parse("a").value();
  const UploadId session = fixture.uploads->start(name, fixture.actor, DigestAlgorithm::sha256).value();
  TextSource body("begun");
  REQUIRE(sync_wait(fixture.uploads->append(name, session, body, std::nullopt, fixture.actor)).has_value());
  REQUIRE(fixture.blobs->create(UploadId::random()).has_value());

  CHECK(sweep(fixture, {.grace_seconds = std::int64_t{100} * 365 * 86'400}).blobs_removed == 0);
  const gc::SweepReport report = sweep(fixture, {.grace_seconds = 0});
  CHECK(report.blobs_removed == 1);
  CHECK(report.uploads_removed == 1);
  CHECK(report.failed == 0);
  CHECK_FALSE(fixture.blobs->open(debris).has_value());
  CHECK(fixture.blobs->open(kept).has_value());
  CHECK(sync_wait(fixture.uploads->offset(name, session, fixture.actor)).value() == 5);
}

TEST_CASE("gc: many orphans mean an old catalog: nothing is removed unless the operator says so (I5)") {
  RegistryFixture fixture;
  fixture.push_blob("a", "kept");
  for (int i = 0; i < 5; ++i) orphan(fixture, "orphan " + std::to_string(i));
  const gc::SweepReport report = sweep(fixture, {.grace_seconds = 0, .plausible_orphans = 4});
  CHECK(report.withheld == 5);
  CHECK(report.blobs_removed == 0);
  CHECK(fixture.files("blobs") == 6);
  CHECK(sweep(fixture, {.grace_seconds = 0, .plausible_orphans = 4, .remove_many = true}).blobs_removed == 5);
  CHECK(fixture.files("blobs") == 1);
}

// A stop that comes while the first file goes.
class StopsAtTheFirst final : public fs::PassingFileLayer {
 public:
  int unlink(const std::string& path) override {
    stop.request_stop();
    return PassingFileLayer::unlink(path);
  }
  std::stop_source stop;
};

TEST_CASE("gc: a stop does not wait for the sweep (A29)") {
  StopsAtTheFirst layer;
  RegistryFixture fixture(ReferenceMode::strict, {}, {.layer = &layer});
  for (int i = 0; i < 5; ++i) orphan(fixture, "orphan " + std::to_string(i));
  layer.stop = {};
  CHECK(sweep(fixture, {.grace_seconds = 0, .stop = layer.stop.get_token()}).blobs_removed == 1);
  CHECK(fixture.files("blobs") == 4);
  CHECK(sweep(fixture, {.grace_seconds = 0}).blobs_removed == 4);
}

}  // namespace
}  // namespace stele
