// Every class of damage, made by hand, is found once and by its name; what is sound is not.
#include "gc/fsck.hpp"

#include <thread>

#include "base/media_type.hpp"
#include "registry/repositories.hpp"
#include "storage/catalog/trash.hpp"
#include "tests/unit/gc/damage.hpp"

namespace stele {
namespace {

using namespace gc_test;
using gc::FsckReport;
using gc::Problem;

FsckReport check(RegistryFixture& fixture, bool repair = false, std::int64_t grace = 24 * 60 * 60) {
  gc::Fsck fsck(fixture.context(), *fixture.uploads, {.grace_seconds = grace, .rest = false});
  CHECK(fsck.report().state == FsckReport::State::never);
  REQUIRE(fsck.start(repair, fixture.actor).has_value());
  while (fsck.report().state == FsckReport::State::running)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  const FsckReport report = fsck.report();
  INFO(report.message);
  REQUIRE(report.state == FsckReport::State::done);
  return report;
}

std::string told(const FsckReport& report) {
  std::string text;
  for (std::size_t i = 0; i < report.classes.size(); ++i) {
    for (const std::string& name : report.classes.at(i).names)
      text += std::string(gc::to_string(static_cast<Problem>(i))) + " " + name + "\n";
  }
  return text;
}

// Found by a check, and again by one that repairs; with what can be repaired nothing is left for a third.
// Damage done by hand also makes counts wrong, which has its own case.
void finds(RegistryFixture& fixture, Problem problem, const std::string& name, bool mends) {
  const auto all = [&](const FsckReport& report) {
    return report.problems() - (problem == Problem::usage_wrong ? 0 : report.of(Problem::usage_wrong).found);
  };
  const FsckReport first = check(fixture);
  INFO(told(first));
  CHECK(all(first) == 1);
  CHECK(first.of(problem).found == 1);
  CHECK(first.of(problem).repaired == 0);
  REQUIRE(first.of(problem).names.size() == 1);
  CHECK(first.of(problem).names.front().find(name) != std::string::npos);
  CHECK(fixture.count("events WHERE action = 'fsck.repair'") == 0);
  const std::int64_t manifests = fixture.count("manifests");
  const std::int64_t tags = fixture.count("tags");
  const FsckReport second = check(fixture, true);
  CHECK(all(second) == 1);
  CHECK(second.of(problem).repaired == (mends ? 1 : 0));
  CHECK(fixture.count("events WHERE action = 'fsck.repair' AND actor = 'tester' AND reason LIKE '" +
                      std::string(gc::to_string(problem)) + ": %'") == (mends ? 1 : 0));
  CHECK(check(fixture).problems() == (mends ? 0 : 1));
  CHECK(fixture.count("manifests") == manifests);
  CHECK(fixture.count("tags") == tags);
}

// One image of two blobs under a tag.
struct Sound : Settled {
  Digest config = push_blob("a", "{}");
  Digest layer = push_blob("a", "layer");
  std::string bytes = R"({"schemaVersion":2,"mediaType":")" + std::string(media_type::oci_manifest) +
                      R"(","config":{"mediaType":"a/b","digest":")" + config.str() +
                      R"(","size":2},"layers":[{"mediaType":"a/l","digest":")" + layer.str() +
                      R"(","size":5}]})";
  Digest image = push_image(bytes)->digest;

  void damage(const std::string& sql) {
    damage_rows(*this, sql);
    restart();
  }
};

TEST_CASE("fsck: nothing is wrong with what is sound") {
  Sound fixture;
  fixture.push_blob("a", "idle, and queued for review");
  REQUIRE(
      sync_wait(fixture.registry->mount_blob({name("b"), fixture.layer, name("a"), fixture.actor})).value());
  const std::string index = rules_test::index_of({fixture.bytes});
  const auto parsed = Manifest::parse(media_type::oci_index, index);
  REQUIRE(sync_wait(fixture.registry->put_manifest(ManifestPush{
                        name("a"), tag("index"), {}, *parsed, index, DigestAlgorithm::sha256, fixture.actor}))
              .has_value());
  const FsckReport report = check(fixture);
  INFO(told(report));
  CHECK(report.problems() == 0);
  CHECK(report.rows > 10);
  CHECK(report.files == 3);
  CHECK(report.begun);
  CHECK(report.ended);
  REQUIRE(fixture.delete_image(Digest::of(DigestAlgorithm::sha256, index)));
  REQUIRE(fixture.delete_image(fixture.image));
  CHECK(check(fixture, true).problems() == 0);
  fixture.collect_after(3 * lease);
  CHECK(check(fixture, true).problems() == 0);
  CHECK(fixture.count("events WHERE action = 'fsck.repair'") == 0);
}

TEST_CASE("fsck: a tag's row that was changed, or points nowhere (I2, I6)") {
  Sound fixture;
  SECTION("changed") {
    fixture.damage("UPDATE tags SET name = 'v2'");
    finds(fixture, Problem::tag_damaged, "a:v2", false);
  }
  SECTION("nowhere") {
    fixture.damage("UPDATE tags SET manifest_id = 99");
    finds(fixture, Problem::tag_without_manifest, "a:v1", false);
  }
}

TEST_CASE("fsck: a manifest's bytes or row were changed (I6)") {
  Sound fixture;
  SECTION("bytes") {
    fixture.damage("UPDATE manifests SET bytes = CAST(replace(CAST(bytes AS TEXT), 'a/l', 'a/k') AS BLOB)");
  }
  SECTION("type") {
    fixture.damage("UPDATE manifests SET media_type = 'application/json'");
  }
  finds(fixture, Problem::manifest_damaged, "a@" + fixture.image.str(), false);
}

TEST_CASE("fsck: a manifest needs what its repository does not have (I2)") {
  Sound fixture;
  fixture.damage("DELETE FROM repository_blobs WHERE blob_id = (SELECT id FROM blobs WHERE digest = '" +
                 fixture.layer.str() + "')");
  finds(fixture, Problem::reference_missing,
        "a@" + fixture.image.str() + " needs layer " + fixture.layer.str(), false);
}

TEST_CASE("fsck: where references may be missing, and for layers that are not distributed, none is missed") {
  const auto push = [](RegistryFixture& fixture, const std::string& bytes) {
    const auto manifest = Manifest::parse(media_type::oci_manifest, bytes);
    REQUIRE(
        sync_wait(fixture.registry->put_manifest(ManifestPush{
                      name("a"), tag("v1"), {}, *manifest, bytes, DigestAlgorithm::sha256, fixture.actor}))
            .has_value());
    CHECK(check(fixture).problems() == 0);
  };
  SECTION("sparse") {
    RegistryFixture fixture(ReferenceMode::sparse);
    push(fixture, rules_test::image({"layer"}, "", "", rules_test::digest_of("a subject").str()));
  }
  SECTION("foreign layer") {
    RegistryFixture fixture;
    fixture.push_blob("a", "{}");
    std::string bytes = rules_test::image({"layer"});
    const std::string type = "a/l";
    bytes.replace(bytes.find(type), type.size(), "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
    push(fixture, bytes);
  }
}

TEST_CASE("fsck: what a manifest names is not recorded: the collector would take it (I5)") {
  Sound fixture;
  fixture.damage("DELETE FROM manifest_references WHERE kind = 'layer'");
  const FsckReport first = check(fixture);
  CHECK(first.of(Problem::reference_unrecorded).found == 1);
  const FsckReport second = check(fixture, true);
  CHECK(second.of(Problem::reference_unrecorded).repaired == 1);
  CHECK(check(fixture).problems() == 0);
  fixture.collect_after(3 * lease);
  CHECK(fixture.has("a", fixture.layer));
}

TEST_CASE("fsck: a link or a blob that nobody needs and nobody will look at is queued") {
  Sound fixture;
  const Digest idle = fixture.push_blob("a", "idle");
  const std::string of_idle = "blob_id = (SELECT id FROM blobs WHERE digest = '" + idle.str() + "')";
  SECTION("link") {
    fixture.damage("DELETE FROM reviews WHERE " + of_idle);
    finds(fixture, Problem::link_forgotten, "a@" + idle.str(), true);
  }
  SECTION("blob") {
    fixture.damage("DELETE FROM reviews WHERE " + of_idle);
    fixture.damage("DELETE FROM repository_blobs WHERE " + of_idle);
    finds(fixture, Problem::blob_forgotten, idle.str(), true);
  }
  SECTION("removal") {
    fixture.damage("DELETE FROM reviews WHERE " + of_idle);
    fixture.damage("DELETE FROM repository_blobs WHERE " + of_idle);
    fixture.damage("UPDATE blobs SET state = 'deleting' WHERE digest = '" + idle.str() + "'");
    finds(fixture, Problem::removal_forgotten, idle.str(), true);
  }
  fixture.clock.advance(2 * lease);
  CHECK(fixture.collect_after(lease).blobs_removed == 1);
  CHECK_FALSE(fixture.has_file(idle));
  CHECK(fixture.has("a", fixture.layer));
}

TEST_CASE("fsck: a blob without its file, or with another length, goes into quarantine (I6)") {
  Sound fixture;
  std::string what;
  SECTION("missing") {
    lose(fixture, fixture.layer);
    what = "the file is missing";
  }
  SECTION("short") {
    cut(fixture, fixture.layer);
    what = "the file has 4 bytes instead of 5";
  }
  const FsckReport first = check(fixture);
  CHECK(first.problems() == 1);
  REQUIRE(first.of(Problem::blob_damaged).names.size() == 1);
  CHECK(first.of(Problem::blob_damaged).names.front() == fixture.layer.str() + ": " + what);
  CHECK(fixture.quarantine->size() == 0);
  const FsckReport second = check(fixture, true);
  CHECK(second.of(Problem::blob_damaged).repaired == 1);
  CHECK(fixture.quarantine->holds(fixture.layer));
  CHECK(fixture.count("events WHERE action = 'blob.quarantine' AND actor = 'tester'") == 1);
  // Known is not well.
  const FsckReport third = check(fixture, true);
  CHECK(third.problems() == 1);
  CHECK(third.of(Problem::blob_quarantined).found == 1);
  fixture.push_blob("b", "layer");
  CHECK(check(fixture).problems() == 0);
}

TEST_CASE("fsck: so many blobs without a file mean a wrong directory: --repair stops at some") {
  Settled fixture;
  for (int i = 0; i < 120; ++i) lose(fixture, fixture.push_blob("a", "blob " + std::to_string(i)));
  const FsckReport report = check(fixture, true);
  CHECK(report.of(Problem::blob_damaged).found == 120);
  CHECK(report.of(Problem::blob_damaged).repaired == 100);
  CHECK(report.of(Problem::blob_damaged).names.size() == FsckReport::most_names);
}

TEST_CASE("fsck: files without a row are debris, once they are old enough (I5)") {
  Sound fixture;
  const std::string content = "debris";
  const UploadId id = UploadId::random();
  auto writer = fixture.blobs->create(id);
  REQUIRE((*writer)->append(as_bytes(content)).has_value());
  REQUIRE((*writer)->sync().has_value());
  const Digest digest = Digest::of(DigestAlgorithm::sha256, content);
  REQUIRE(fixture.blobs->publish(id, digest).has_value());
  const auto upload = fixture.uploads->start(name("a"), fixture.actor, DigestAlgorithm::sha256).value();
  TextSource body("begun");
  REQUIRE(
      sync_wait(fixture.uploads->append(name("a"), upload, body, std::nullopt, fixture.actor)).has_value());
  // The fixture's clock is ahead of the machine's.
  CHECK(check(fixture, true, std::int64_t{100} * 365 * 86'400).problems() == 0);
  finds(fixture, Problem::file_without_row, digest.str(), true);
  CHECK_FALSE(fixture.has_file(digest));
  CHECK(fixture.has_file(fixture.layer));
  CHECK(sync_wait(fixture.uploads->offset(name("a"), upload, fixture.actor)).value() == 5);
}

TEST_CASE("fsck: rows about something that is not there") {
  Sound fixture;
  struct Case {
    const char* sql;
    const char* name;
  };
  const Case cases[] = {
      {"INSERT INTO manifest_use (manifest_id, pulled_at) VALUES (77, 1)", "manifest_use.manifest_id 77"},
      {"INSERT INTO untagged_manifests (manifest_id, since) VALUES (77, 1)",
       "untagged_manifests.manifest_id 77"},
      {"INSERT INTO manifest_references (manifest_id, kind, digest, repository_id) VALUES (77, 'layer', 'x', "
       "1)",
       "manifest_references.manifest_id 77"},
      {"INSERT INTO reviews (blob_id, repository_id, review_after) VALUES (77, 1, 1)", "reviews.blob_id 77"},
      {"INSERT INTO quarantine (blob_id, found_at, problem) VALUES (77, 1, 'x')", "quarantine.blob_id 77"},
      {"INSERT INTO repository_blobs (repository_id, blob_id, linked_at) VALUES (1, 77, 1)",
       "repository_blobs.blob_id 77"},
      {"INSERT INTO repository_blobs (repository_id, blob_id, linked_at) VALUES (77, 1, 1)",
       "repository_blobs.repository_id 77"},
      {"INSERT INTO trash_tags (trash_id, tag, repository_id, pushed_at, pushed_by) VALUES (77, 't', 1, 1, "
       "'x')",
       "trash_tags.trash_id 77"},
      {"INSERT INTO trash_references (trash_id, digest, repository_id) VALUES (77, 'x', 1)",
       "trash_references.trash_id 77"},
      {"INSERT INTO lifecycle_waiting (run_id, repository, reason, plan) VALUES (77, 'a', 'x', x'00')",
       "lifecycle_waiting.run_id 77"},
  };
  const auto one = GENERATE(range(0, 10));
  const Case& damage = cases[one];
  INFO(damage.sql);
  fixture.damage(damage.sql);
  finds(fixture, Problem::row_without_owner, damage.name, true);
}

TEST_CASE("fsck: what is in the trash is hashed too; a row without its repository stays, it holds content") {
  Sound fixture;
  fixture.write([&](sql::Tx& tx) {
    const auto in = catalog::find_repository(tx, name("a")).value();
    const auto manifest = catalog::find_manifest(tx, in, fixture.image).value();
    catalog::delete_tag(tx, in, tag("v1"));
    const std::vector<catalog::TrashedTag> tags{{tag("v1"), {1}, "tester"}};
    catalog::put_in_trash(tx, {1, in, fixture.image, manifest.id, tags, {1}, {2}, "rule", "reason"});
  });
  // The trash needs its blobs.
  fixture.damage("DELETE FROM reviews");
  CHECK(check(fixture).problems() == 0);
  SECTION("bytes") {
    fixture.damage("UPDATE trash SET bytes = x'00'");
    finds(fixture, Problem::trash_damaged, fixture.image.str(), false);
  }
  SECTION("repository") {
    fixture.damage("UPDATE trash SET repository_id = 77");
    const FsckReport report = check(fixture, true);
    CHECK(report.of(Problem::row_without_owner).found == 1);
    CHECK(report.of(Problem::row_without_owner).repaired == 0);
    CHECK(fixture.count("trash") == 1);
  }
}

TEST_CASE("fsck: what is counted of a repository is not what it holds") {
  Sound fixture;
  SECTION("wrong") {
    fixture.damage("UPDATE repository_usage SET blob_bytes = blob_bytes + 1");
  }
  SECTION("missing") {
    fixture.damage("DELETE FROM repository_usage");
  }
  finds(fixture, Problem::usage_wrong, "a", true);
}

TEST_CASE("fsck: one at a time") {
  Settled fixture;
  for (int i = 0; i < 50; ++i) fixture.push_blob("a", "blob " + std::to_string(i));
  gc::Fsck fsck(fixture.context(), *fixture.uploads, {.rest = false});
  // Nobody gets the catalog's writer, nor a page, before the second has asked: the first waits for its
  // thread.
  REQUIRE(fsck.start(false, fixture.actor).has_value());
  const auto second = fsck.start(false, fixture.actor);
  if (!second) CHECK(second.error().code() == Errc::parameter_invalid);
}

TEST_CASE("fsck race: no false alarm beside pushes, deletions, mounts and the collector (I2, I5)") {
  Settled fixture;
  std::atomic<bool> stop{false};
  std::atomic<int> rounds{0}, failed{0};
  // Without the test's macros: they are for one thread.
  const auto hammer = [&](const std::string& repository) {
    const RepositoryName in = name(repository), elsewhere = name("c");
    for (int i = 0; !stop; ++i) {
      const std::string content = "{\"n\":" + std::to_string(i % 7) + "}";
      const Digest config = Digest::of(DigestAlgorithm::sha256, content);
      const auto session = fixture.uploads->start(in, fixture.actor, DigestAlgorithm::sha256);
      TextSource source(content);
      failed +=
          !sync_wait(fixture.uploads->finish(in, *session, source, std::nullopt, config, fixture.actor));
      failed += !sync_wait(fixture.registry->mount_blob({elsewhere, config, in, fixture.actor}));
      const std::string bytes = image_of(config, std::to_string(i));
      const auto manifest = Manifest::parse(media_type::oci_manifest, bytes);
      const Tag version = *Tag::parse("v" + std::to_string(i % 3));
      const auto image = sync_wait(fixture.registry->put_manifest(
          ManifestPush{in, version, {}, *manifest, bytes, DigestAlgorithm::sha256, fixture.actor}));
      if (image && i % 2 == 0) failed += !fixture.delete_image(image->digest, repository);
      if (i % 50 == 49) failed += !sync_wait(Repositories(fixture.context()).remove(in, fixture.actor));
      ++rounds;
    }
  };
  std::thread one([&] { hammer("a"); });
  std::thread two([&] { hammer("b"); });
  std::thread collecting([&] {
    gc::Collector collector(fixture.context());
    while (!stop) {
      fixture.clock.advance(lease / 10);
      [[maybe_unused]] const auto step = sync_wait(collector.step());
    }
  });
  std::uint64_t problems = 0;
  std::string names;
  // The fixture's clock is ahead of the machine's: every file is old enough to be debris.
  for (int i = 0; i < 40; ++i) {
    const FsckReport report = check(fixture, i % 4 == 3, 0);
    problems += report.problems();
    names += told(report);
  }
  stop = true;
  one.join();
  two.join();
  collecting.join();
  INFO(names);
  CHECK(problems == 0);
  CHECK(rounds > 10);
  CHECK(failed == 0);
  CHECK(fixture.count("events WHERE action IN ('fsck.repair', 'blob.quarantine')") == 0);
}

}  // namespace
}  // namespace stele
