// The filesystem blob store: the shared suite, and what only a directory can show.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "tests/suites/blob_store_suite.hpp"
#include "tests/support/injecting_file_layer.hpp"
#include "tests/unit/storage/fs_fixture.hpp"

namespace stele::fs {
namespace {

using namespace stele::suites;
namespace stdfs = std::filesystem;

// Owns its directory; the order of the members matters.
class OwningFixture final : public BlobStoreFixture {
 public:
  BlobStore& store() override { return fixture_.store(); }
  StoreLatch& latch() override { return fixture_.latch(); }
  void restart() override { fixture_.restart(); }

 private:
  ScratchDirectory directory_;
  FsFixture fixture_{directory_.path()};
};

mode_t mode_of(const std::string& path) {
  struct stat info{};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  return info.st_mode & 07777;
}

std::string blob_path(const std::string& root, const Digest& digest) {
  return root + "/blobs/" + std::string(to_string(digest.algorithm())) + "/" +
         std::string(digest.hex().substr(0, 2)) + "/" + std::string(digest.hex());
}

TEST_CASE("fs: the blob store suite") {
  blob_store_suite([] { return std::make_unique<OwningFixture>(); });
}

TEST_CASE("fs: the layout on disk is the documented one") {
  const ScratchDirectory directory;
  FsFixture fixture(directory.path());
  const Digest digest = push(fixture.store(), "hello");
  const UploadId id = UploadId::random();
  begin(fixture.store(), id, "begun").reset();
  CHECK(mode_of(blob_path(directory.path(), digest)) == 0400);
  CHECK(mode_of(directory.path() + "/uploads/" + id.str()) == 0600);
  CHECK(mode_of(directory.path() + "/blobs/sha256/2c") == 0700);

  const auto reader = fixture.store().open(digest);
  REQUIRE(ok(reader));
  CHECK((*reader)->fd() >= 0);
  CHECK((::fcntl((*reader)->fd(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("fs: foreign names are reported and left alone") {
  const ScratchDirectory directory;
  FsFixture fixture(directory.path());
  const Digest digest = push(fixture.store(), "hello");
  const std::string shard = "blobs/sha256/" + std::string(digest.hex().substr(0, 2));
  const std::string elsewhere(64, '0');
  const std::set<std::string> expected = {
      "uploads/notes.txt",     "uploads/" + std::string(32, 'a'),
      "blobs/lost+found",      "blobs/sha256/README",
      "blobs/sha256/AB",       shard + "/" + std::string(digest.hex()) + ".bak",
      shard + "/" + elsewhere, shard + "/" + std::string(64, 'f')};
  std::ofstream(directory.path() + "/uploads/notes.txt") << "x";
  stdfs::create_symlink("/etc/passwd", directory.path() + "/uploads/" + std::string(32, 'a'));
  stdfs::create_directory(directory.path() + "/blobs/lost+found");
  std::ofstream(directory.path() + "/blobs/sha256/README") << "x";
  stdfs::create_directory(directory.path() + "/blobs/sha256/AB");
  std::ofstream(directory.path() + "/" + shard + "/" + std::string(digest.hex()) + ".bak") << "x";
  std::ofstream(directory.path() + "/" + shard + "/" + elsewhere) << "x";
  stdfs::create_directory(directory.path() + "/" + shard + "/" + std::string(64, 'f'));

  std::set<std::string> foreign;
  std::set<std::string> found;
  const auto note = [&](const std::string& path) { foreign.insert(path); };
  REQUIRE(ok(fixture.store().list_uploads([&](const auto& file) { found.insert(file.id.str()); }, note)));
  REQUIRE(ok(fixture.store().list_blobs([&](const auto& file) { found.insert(file.digest.str()); }, note)));
  CHECK(foreign == expected);
  CHECK(found == std::set{digest.str()});
  for (const auto& path : expected)
    CHECK(stdfs::exists(stdfs::symlink_status(directory.path() + "/" + path)));
}

TEST_CASE("fs: links are never followed to bytes outside the store") {
  const ScratchDirectory directory;
  FsFixture fixture(directory.path());
  const Digest digest = push(fixture.store(), "hello");
  const std::string path = blob_path(directory.path(), digest);
  stdfs::remove(path);
  stdfs::create_symlink("/etc/passwd", path);
  CHECK(code_of(fixture.store().open(digest)) == Errc::io);
  stdfs::remove(path);
  stdfs::create_directory(path);
  CHECK(code_of(fixture.store().open(digest)) == Errc::io);
}

TEST_CASE("fs: a blob that was cut under a reader answers short, not with garbage") {
  const ScratchDirectory directory;
  FsFixture fixture(directory.path());
  const std::string bytes = content(10'000);
  const Digest digest = push(fixture.store(), bytes);
  const auto reader = fixture.store().open(digest);
  stdfs::permissions(blob_path(directory.path(), digest), stdfs::perms::owner_write,
                     stdfs::perm_options::add);
  stdfs::resize_file(blob_path(directory.path(), digest), 4'000);
  CHECK(read_all(**reader) == bytes.substr(0, 4'000));
}

TEST_CASE("fs: a shard directory that somebody removed is made again") {
  const ScratchDirectory directory;
  FsFixture fixture(directory.path());
  const Digest digest = push(fixture.store(), "hello");
  stdfs::remove_all(directory.path() + "/blobs/sha256/2c");
  push(fixture.store(), "hello");
  CHECK(read_blob(fixture.store(), digest) == "hello");
}

TEST_CASE("fs: a session that a crash in publish() left read-only can be resumed") {
  const ScratchDirectory directory;
  InjectingFileLayer layer(directory.path());
  FsFixture fixture(directory.path(), layer);
  const UploadId id = UploadId::random();
  const std::string path = directory.path() + "/uploads/" + id.str();
  REQUIRE(ok(begin(fixture.store(), id, "begun")->sync()));
  REQUIRE(::chmod(path.c_str(), 0400) == 0);
  if (::geteuid() == 0)
    layer.inject({.call = Call::open, .nth = 2, .error = EACCES});  // root may open everything
  const auto writer = fixture.store().resume(id, 5);
  REQUIRE(ok(writer));
  CHECK(mode_of(path) == 0600);
  REQUIRE(ok((*writer)->append(as_bytes(" and ended"))));
  CHECK(read_all(**fixture.store().open_upload(id)) == "begun and ended");
}

TEST_CASE("fs: a session whose publication failed goes on as it was") {
  const ScratchDirectory directory;
  InjectingFileLayer layer(directory.path());
  FsFixture fixture(directory.path(), layer);
  const UploadId id = UploadId::random();
  REQUIRE(ok(begin(fixture.store(), id, "begun")->sync()));
  layer.inject({.call = Call::rename, .error = ENOSPC});
  CHECK(code_of(fixture.store().publish(id, sha256("begun"))) == Errc::no_space);
  CHECK(mode_of(directory.path() + "/uploads/" + id.str()) == 0600);
  CHECK(ok(fixture.store().resume(id, 5)));
}

// publish() with Upload::stays gives one file two names; nobody may write through the one to the other (I6).
TEST_CASE("fs: a session that goes on after its publication does not change the blob") {
  const ScratchDirectory directory;
  InjectingFileLayer layer(directory.path());
  FsFixture fixture(directory.path(), layer);
  const UploadId id = UploadId::random();
  const std::string bytes = content(3 << 20);
  REQUIRE(ok(begin(fixture.store(), id, bytes)->sync()));
  REQUIRE(ok(fixture.store().publish(id, sha256(bytes), BlobStore::Upload::stays)));

  SECTION("appending") {
    const auto writer = fixture.store().resume(id, bytes.size());
    REQUIRE(ok(writer));
    REQUIRE(ok((*writer)->append(as_bytes("more"))));
    REQUIRE(ok((*writer)->sync()));
    CHECK((read_all(**fixture.store().open_upload(id)) == bytes + "more"));
  }
  SECTION("cut") {
    const auto writer = fixture.store().resume(id, 100);
    REQUIRE(ok(writer));
    CHECK((read_all(**fixture.store().open_upload(id)) == bytes.substr(0, 100)));
  }
  SECTION("a disk too full for it") {
    layer.inject({.call = Call::write, .nth = 2, .error = ENOSPC, .half = true});
    CHECK(code_of(fixture.store().resume(id, bytes.size())) == Errc::no_space);
    CHECK(uploads_of(fixture.store()) == std::set{id.str()});
    CHECK((read_all(**fixture.store().open_upload(id)) == bytes));
  }
  SECTION("discarded") {
    REQUIRE(ok(fixture.store().discard(id)));
  }
  CHECK((read_blob(fixture.store(), sha256(bytes)) == bytes));
  CHECK(mode_of(blob_path(directory.path(), sha256(bytes))) == 0400);
}

// The sweep asks whether the upload of a file is known (I5): it must not take a copy that is being made, or
// the second name of a publication, for debris of nobody.
TEST_CASE("fs: every file that a session has for a while carries its name, and goes with it (A18)") {
  const ScratchDirectory directory;
  InjectingFileLayer layer(directory.path());
  FsFixture fixture(directory.path(), layer);
  const UploadId id = UploadId::random();
  const std::string bytes = "five!";
  REQUIRE(ok(begin(fixture.store(), id, bytes)->sync()));
  const Digest digest = Digest::of(DigestAlgorithm::sha256, bytes);
  const std::string second = "uploads/" + id.str() + ".second";
  std::ofstream(directory.path() + "/" + second) << "of a call that was cut off";
  REQUIRE(ok(fixture.store().publish(id, digest, BlobStore::Upload::stays)));
  CHECK_FALSE(std::filesystem::exists(directory.path() + "/" + second));

  std::ofstream(directory.path() + "/" + second) << "of a call that was cut off";
  std::vector<std::string> known, foreign;
  REQUIRE(ok(
      fixture.store().list_uploads([&](const BlobStore::UploadFile& file) { known.push_back(file.id.str()); },
                                   [&](const std::string& name) { foreign.push_back(name); })));
  CHECK(known == std::vector<std::string>{id.str(), id.str()});
  CHECK(foreign.empty());

  const std::size_t before = layer.operations();
  REQUIRE(ok(fixture.store().resume(id, bytes.size())));  // copies: the file is a blob too
  for (const Operation& operation : layer.record_since(before)) {
    if (operation.path.starts_with("uploads/")) CHECK(operation.path.starts_with("uploads/" + id.str()));
  }
  std::ofstream(directory.path() + "/" + second) << "of a call that was cut off";
  REQUIRE(ok(fixture.store().discard(id)));
  CHECK(std::filesystem::is_empty(directory.path() + "/uploads"));
}

// rename() between two names of one file does nothing and says that it worked.
TEST_CASE("fs: what is published again leaves no other names behind") {
  const ScratchDirectory directory;
  FsFixture fixture(directory.path());
  const UploadId id = UploadId::random();
  REQUIRE(ok(begin(fixture.store(), id, "hello")->sync()));
  REQUIRE(ok(fixture.store().publish(id, sha256("hello"), BlobStore::Upload::stays)));
  REQUIRE(ok(fixture.store().publish(id, sha256("hello"), BlobStore::Upload::stays)));
  CHECK(uploads_of(fixture.store()) == std::set{id.str()});
  REQUIRE(ok(fixture.store().publish(id, sha256("hello"))));
  CHECK(uploads_of(fixture.store()).empty());
  CHECK(read_blob(fixture.store(), sha256("hello")) == "hello");
}

TEST_CASE("fs: the data directory must exist and lie on one file system") {
  StoreLatch latch;
  const auto absent = open_blob_store("/nonexistent/stele", latch);
  CHECK(code_of(absent) == Errc::io);
  CHECK_FALSE(latch.closed());

  struct stat memory{};
  struct stat scratch{};
  const ScratchDirectory directory;
  if (::stat("/dev/shm", &memory) != 0 || ::access("/dev/shm", W_OK) != 0) return;
  REQUIRE(::stat(directory.path().c_str(), &scratch) == 0);
  if (memory.st_dev == scratch.st_dev) return;
  const std::string other = "/dev/shm/stele-fs-" + random_hex(8);
  stdfs::create_directory(other);
  stdfs::create_symlink(other, directory.path() + "/blobs");
  const auto split = open_blob_store(directory.path(), latch);
  stdfs::remove_all(other);
  REQUIRE_FALSE(split.has_value());
  CHECK(split.error().message().find("different file systems") != std::string::npos);
}

TEST_CASE("fs: messages name the thing and the next step, and no absolute path") {
  const ScratchDirectory directory;
  InjectingFileLayer layer(directory.path());
  FsFixture fixture(directory.path(), layer);
  const UploadId id = UploadId::random();
  layer.inject({.call = Call::open, .error = ENOSPC});
  const auto full = fixture.store().create(id);
  REQUIRE_FALSE(full.has_value());
  CHECK(full.error().message() == "could not create uploads/" + id.str() +
                                      ": No space left on device; free space on the file system of the data "
                                      "directory, then try again");
  layer.clear_faults();
  const auto writer = begin(fixture.store(), id, "x");
  layer.inject({.call = Call::fdatasync, .error = EIO});
  const auto failed = writer->sync();
  REQUIRE_FALSE(failed.has_value());
  CHECK(fixture.latch().reason() == "fdatasync of uploads/" + id.str() + " failed: Input/output error");
  CHECK(failed.error().message().find(fixture.latch().reason()) != std::string::npos);
}

TEST_CASE("fs: space is what the file system says") {
  const ScratchDirectory directory;
  FsFixture fixture(directory.path());
  const auto space = fixture.store().space();
  REQUIRE(ok(space));
  const auto expected = stdfs::space(directory.path());
  CHECK(space->total_bytes == expected.capacity);
  CHECK(space->available_bytes <= space->total_bytes);
  CHECK(space->available_bytes > 0);
}

}  // namespace
}  // namespace stele::fs
