#pragma once
// What callers do with a blob store, each with what must be true afterwards.

#include <filesystem>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/suites/blob_store_suite.hpp"
#include "tests/support/injecting_file_layer.hpp"
#include "tests/unit/storage/fs_durability.hpp"
#include "tests/unit/storage/fs_fixture.hpp"

namespace stele::fs::scenarios {

using namespace stele::suites;

inline const std::string kept = content(50'000, 1);          // a blob that was there before
inline const std::string acknowledged = content(30'000, 2);  // of an upload that was there before
inline const std::string chunk = content(3 << 20, 3);

// One store with a blob, an upload with synced bytes and an open writer; and what the operation under test
// has done so far.
struct World {
  ScratchDirectory directory{ScratchDirectory::fast_parent()};
  InjectingFileLayer layer{directory.path()};
  FsFixture fixture{directory.path(), layer};
  Digest kept_digest = push(fixture.store(), kept);
  UploadId upload = UploadId::random();
  std::unique_ptr<BlobWriter> writer = begin_upload();
  std::size_t steps = 0;  // for operations of several calls, so that they can go on where they failed
  UploadId fresh = UploadId::random();

  BlobStore& store() { return fixture.store(); }
  std::unique_ptr<BlobWriter> begin_upload() {
    auto begun = begin(fixture.store(), upload, acknowledged);
    REQUIRE(ok(begun->sync()));
    return begun;
  }
};

// Something that a caller does. `run` can be repeated after a failure and then goes on.
struct Scenario {
  const char* name;
  std::function<void(World&)> arrange;
  std::function<Result<void>(World&)> run;
  // What must be true after it has succeeded.
  std::function<void(World&)> verify;
};

template <class T>
Result<void> without_value(const Result<T>& result) {
  if (!result) return result.error();
  return {};
}

inline Result<void> append_up_to(BlobWriter& writer, std::string_view target) {
  while (writer.size() < target.size()) {
    const auto next = target.substr(writer.size(), chunk.size());
    if (auto appended = writer.append(as_bytes(next)); !appended) return appended;
  }
  return {};
}

inline std::string upload_content(World& world, const UploadId& id) {
  const auto reader = world.store().open_upload(id);
  REQUIRE(ok(reader));
  return read_all(**reader);
}

inline const std::string small = acknowledged + content(4096, 4);
inline const std::string large =
    acknowledged + chunk + chunk + chunk + content(100, 5);  // passes the write-back step

inline Result<void> push_step_by_step(World& world, const std::string& bytes) {
  if (world.steps == 0) {
    world.writer.reset();
    auto created = world.store().create(world.fresh);
    if (!created) return created.error();
    world.writer = std::move(*created);
    world.steps = 1;
  }
  if (auto appended = append_up_to(*world.writer, bytes); !appended) return appended;
  if (auto synced = world.writer->sync(); !synced) return synced;
  return world.store().publish(world.fresh, sha256(bytes));
}

inline Result<void> read_twice(const Result<std::unique_ptr<BlobReader>>& opened,
                               const std::string& expected) {
  if (!opened) return opened.error();
  std::string bytes((*opened)->size(), '\0');
  const std::size_t half = bytes.size() / 2;
  const auto out = std::as_writable_bytes(std::span(bytes.data(), bytes.size()));
  const auto first = (*opened)->read_at(0, out.first(half));
  if (!first) return first.error();
  const auto second = (*opened)->read_at(half, out.subspan(half));
  if (!second) return second.error();
  CHECK(*first + *second == expected.size());
  CHECK(bytes == expected);
  return {};
}

inline const auto nothing = [](World&) {};

inline void add_uploading(std::vector<Scenario>& all) {
  all.push_back({"create", nothing,
                 [](World& world) {
                   auto created = world.store().create(world.fresh);
                   if (!created) {
                     CHECK_FALSE(
                         std::filesystem::exists(world.directory.path() + "/uploads/" + world.fresh.str()));
                     return without_value(created);
                   }
                   return Result<void>();
                 },
                 [](World& world) { CHECK(upload_content(world, world.fresh).empty()); }});
  all.push_back({"append small", nothing, [](World& world) { return append_up_to(*world.writer, small); },
                 [](World& world) { CHECK(upload_content(world, world.upload) == small); }});
  all.push_back({"append large", nothing, [](World& world) { return append_up_to(*world.writer, large); },
                 [](World& world) { CHECK((upload_content(world, world.upload) == large)); }});
  all.push_back({"sync", [](World& world) { REQUIRE(ok(append_up_to(*world.writer, small))); },
                 [](World& world) { return world.writer->sync(); },
                 [](World& world) {
                   CHECK(upload_content(world, world.upload) == small);
                   CHECK(
                       DurabilityModel(world.layer.record()).bytes_durable("uploads/" + world.upload.str()));
                 }});
  all.push_back({"resume", [](World& world) { REQUIRE(ok(append_up_to(*world.writer, small))); },
                 [](World& world) {
                   auto resumed = world.store().resume(world.upload, acknowledged.size());
                   if (!resumed) return without_value(resumed);
                   world.writer = std::move(*resumed);
                   return Result<void>();
                 },
                 [](World& world) { CHECK(upload_content(world, world.upload) == acknowledged); }});
}

inline void add_publishing(std::vector<Scenario>& all) {
  const auto publish = [](World& world) { return world.store().publish(world.upload, sha256(acknowledged)); };
  const auto published = [](World& world) {
    CHECK(read_blob(world.store(), sha256(acknowledged)) == acknowledged);
  };
  all.push_back({"publish into a new shard", nothing, publish, published});
  all.push_back({"publish over an orphan",
                 [](World& world) {
                   const UploadId orphan = UploadId::random();
                   REQUIRE(ok(begin(world.store(), orphan, "half of it")->sync()));
                   REQUIRE(ok(world.store().publish(orphan, sha256(acknowledged))));
                 },
                 publish, published});
  all.push_back({"publish and keep the upload", nothing,
                 [](World& world) {
                   return world.store().publish(world.upload, sha256(acknowledged), BlobStore::Upload::stays);
                 },
                 [published](World& world) {
                   published(world);
                   CHECK(upload_content(world, world.upload) == acknowledged);
                 }});
  const auto publish_and_stay = [](World& world) {
    REQUIRE(ok(world.store().publish(world.upload, sha256(acknowledged), BlobStore::Upload::stays)));
  };
  all.push_back({"publish what is a blob", publish_and_stay, publish, [published](World& world) {
                   published(world);
                   CHECK(uploads_of(world.store()).empty());
                 }});
  all.push_back({"resume what is a blob", publish_and_stay,
                 [](World& world) {
                   auto resumed = world.store().resume(world.upload, acknowledged.size());
                   if (!resumed) return without_value(resumed);
                   world.writer = std::move(*resumed);
                   return world.writer->append(as_bytes("more"));
                 },
                 [published](World& world) {
                   published(world);
                   CHECK(upload_content(world, world.upload) == acknowledged + "more");
                 }});
}

inline void add_the_rest(std::vector<Scenario>& all) {
  all.push_back({"discard", [](World& world) { world.writer.reset(); },
                 [](World& world) { return world.store().discard(world.upload); },
                 [](World& world) { CHECK(uploads_of(world.store()).empty()); }});
  all.push_back({"remove", [](World& world) { push(world.store(), "to be removed"); },
                 [](World& world) { return world.store().remove(sha256("to be removed")); },
                 [](World& world) { CHECK(blobs_of(world.store()) == std::set{world.kept_digest.str()}); }});
  all.push_back({"list", nothing,
                 [](World& world) {
                   std::size_t found = 0;
                   const auto foreign = [](const std::string& path) { FAIL(path); };
                   auto uploads = world.store().list_uploads([&](const auto&) { ++found; }, foreign);
                   if (!uploads) return uploads;
                   auto blobs = world.store().list_blobs([&](const auto&) { ++found; }, foreign);
                   if (!blobs) return blobs;
                   CHECK(found == 2);
                   return Result<void>();
                 },
                 nothing});
  all.push_back({"read a blob", nothing,
                 [](World& world) { return read_twice(world.store().open(world.kept_digest), kept); },
                 nothing});
  all.push_back(
      {"read an upload", nothing,
       [](World& world) { return read_twice(world.store().open_upload(world.upload), acknowledged); },
       nothing});
  all.push_back(
      {"space", nothing, [](World& world) { return without_value(world.store().space()); }, nothing});
  all.push_back({"open the store", nothing,
                 [](World& world) {
                   return without_value(
                       open_blob_store(world.directory.path(), world.fixture.latch(), world.layer));
                 },
                 nothing});
  all.push_back(
      {"open an empty directory", nothing,
       [](World& world) {
         const std::string path = world.directory.path() + "/other";
         std::filesystem::create_directory(path);
         return without_value(open_blob_store(path, world.fixture.latch(), world.layer));
       },
       [](World& world) { CHECK(std::filesystem::exists(world.directory.path() + "/other/blobs/sha512")); }});
  all.push_back(
      {"push", nothing, [](World& world) { return push_step_by_step(world, large); },
       [](World& world) {
         CHECK((read_blob(world.store(), sha256(large)) == large));
         const std::string hex(sha256(large).hex());
         CHECK(DurabilityModel(world.layer.record()).durable("blobs/sha256/" + hex.substr(0, 2) + "/" + hex));
       }});
}

inline std::vector<Scenario> all_of_them() {
  std::vector<Scenario> all;
  add_uploading(all);
  add_publishing(all);
  add_the_rest(all);
  return all;
}

}  // namespace stele::fs::scenarios
