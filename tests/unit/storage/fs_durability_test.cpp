// I1: what publish() and sync() acknowledge is on the disk, in the order that docs/architecture.md gives.

#include "tests/unit/storage/fs_durability.hpp"

#include "tests/suites/blob_store_suite.hpp"
#include "tests/unit/storage/fs_fixture.hpp"

namespace stele::fs {
namespace {

using namespace stele::suites;

// "fsync blobs/sha256/ab", one per call; without the opening of files, which changes nothing.
std::vector<std::string> told(const std::vector<Operation>& record) {
  std::vector<std::string> lines;
  for (const auto& operation : record) {
    if (operation.call == Call::open && !(operation.flags & O_CREAT)) continue;
    std::string line = std::string(to_string(operation.call)) + " " + operation.path;
    if (!operation.to.empty()) line += " " + operation.to;
    lines.push_back(line);
  }
  return lines;
}

std::string blob_name(const Digest& digest) {
  return "blobs/" + std::string(to_string(digest.algorithm())) + "/" +
         std::string(digest.hex().substr(0, 2)) + "/" + std::string(digest.hex());
}

TEST_CASE("fs: a push is synced, named and synced again, in this order (I1)") {
  const ScratchDirectory directory;
  InjectingFileLayer layer(directory.path());
  FsFixture fixture(directory.path(), layer);
  const Digest digest = sha256("hello");
  const std::string shard = "blobs/sha256/" + std::string(digest.hex().substr(0, 2));

  // The first blob of a shard: its directory is made, and durable before anything is put into it.
  std::size_t before = layer.operations();
  const UploadId first = UploadId::random();
  REQUIRE(ok(begin(fixture.store(), first, "hello")->sync()));
  REQUIRE(ok(fixture.store().publish(first, digest)));
  const std::string upload = "uploads/" + first.str();
  CHECK(told(layer.record_since(before)) ==
        std::vector<std::string>{"open " + upload, "write " + upload, "fdatasync " + upload, "mkdir " + shard,
                                 "fsync blobs/sha256", "fchmod " + upload,
                                 "rename " + upload + " " + blob_name(digest), "fsync " + shard});

  // Later ones cost one directory sync.
  const UploadId second = UploadId::random();
  REQUIRE(ok(begin(fixture.store(), second, "hello")->sync()));
  before = layer.operations();
  REQUIRE(ok(fixture.store().publish(second, digest)));
  CHECK(told(layer.record_since(before)) ==
        std::vector<std::string>{"fchmod uploads/" + second.str(),
                                 "rename uploads/" + second.str() + " " + blob_name(digest),
                                 "fsync " + shard});

  // An upload that stays is published under a second name, which leaves no trace in uploads/.
  const UploadId third = UploadId::random();
  REQUIRE(ok(begin(fixture.store(), third, "hello")->sync()));
  before = layer.operations();
  REQUIRE(ok(fixture.store().publish(third, digest, BlobStore::Upload::stays)));
  const auto kept = told(layer.record_since(before));
  REQUIRE(kept.size() == 4);
  CHECK(kept[0] == "fchmod uploads/" + third.str());
  CHECK(kept[1] == "link uploads/" + third.str() + " uploads/" + third.str() + ".second");
  CHECK(kept[2].ends_with(" " + blob_name(digest)));
  CHECK(kept[3] == "fsync " + shard);
  const auto left = uploads_of(fixture.store());
  CHECK(std::count(left.begin(), left.end(), third.str()) == 1);
  CHECK(left.size() == 1);

  // Nor does a new process make it again; but it syncs what an earlier one may have made just before it died.
  before = layer.operations();
  fixture.restart();
  const auto opened = told(layer.record_since(before));
  CHECK(std::count(opened.begin(), opened.end(), "fsync blobs/sha256") == 1);
  before = layer.operations();
  push(fixture.store(), "hello");
  for (const auto& line : told(layer.record_since(before))) CHECK_FALSE(line.starts_with("mkdir"));
}

TEST_CASE("fs: opening an empty data directory makes its directories durable") {
  const ScratchDirectory directory;
  InjectingFileLayer layer(directory.path());
  const FsFixture fixture(directory.path(), layer);
  const DurabilityModel model(layer.record());
  for (const char* path : {"uploads", "blobs", "blobs/sha256", "blobs/sha512"}) CHECK(model.durable(path));
}

TEST_CASE("fs: a power cut takes nothing that was acknowledged (I1)") {
  const ScratchDirectory directory;
  InjectingFileLayer layer(directory.path());
  FsFixture fixture(directory.path(), layer);
  std::vector<Digest> acknowledged;
  for (unsigned i = 0; i < 300; ++i) {
    const auto algorithm = i % 3 ? DigestAlgorithm::sha256 : DigestAlgorithm::sha512;
    const UploadId id = UploadId::random();
    const std::string bytes = content(i * 37, i);
    auto writer = begin(fixture.store(), id, bytes);
    REQUIRE(ok(writer->sync()));
    if (i % 4 == 0) {  // a session that ends and begins again with a tail to be cut off
      REQUIRE(ok(writer->append(as_bytes("tail"))));
      writer.reset();
      if (i % 8 == 0) fixture.restart();
      auto resumed = fixture.store().resume(id, bytes.size());
      REQUIRE(ok(resumed));
      REQUIRE(ok((*resumed)->sync()));
    }
    CHECK(DurabilityModel(layer.record()).bytes_durable("uploads/" + id.str()));
    acknowledged.push_back(Digest::of(algorithm, bytes));
    REQUIRE(ok(fixture.store().publish(id, acknowledged.back())));
    writer.reset();
    if (i % 50 == 0) fixture.restart();
    const DurabilityModel model(layer.record());
    for (const auto& digest : acknowledged) {
      if (!model.durable(blob_name(digest))) FAIL(blob_name(digest) << " would be lost");
    }
  }
}

TEST_CASE("fs: large uploads start their way to the disk before the sync") {
  const ScratchDirectory directory;
  InjectingFileLayer layer(directory.path());
  FsFixture fixture(directory.path(), layer);
  const auto writer = begin(fixture.store(), UploadId::random(), "");
  const std::string chunk = content(3 << 20);
  std::size_t started = 0;
  for (int i = 0; i < 9; ++i) REQUIRE(ok(writer->append(as_bytes(chunk))));
  for (const auto& operation : layer.record()) started += operation.call == Call::sync_file_range;
  CHECK(started == 3);  // 27 MiB, every 8 MiB at a chunk's end
}

TEST_CASE("fs: a hint that the file system does not support is not an error") {
  const ScratchDirectory directory;
  InjectingFileLayer layer(directory.path());
  FsFixture fixture(directory.path(), layer);
  const int error = GENERATE(ENOSYS, EINVAL, ESPIPE, EPERM);
  layer.inject({.call = Call::sync_file_range, .error = error, .from_then_on = true});
  const std::string bytes = content(20 << 20);
  CHECK(read_blob(fixture.store(), push(fixture.store(), bytes)) == bytes);
  CHECK_FALSE(fixture.latch().closed());
}

}  // namespace
}  // namespace stele::fs
