#pragma once
#include <unistd.h>

#include <filesystem>
#include <string>

#include "base/random.hpp"
#include "storage/fs/fs_blob_store.hpp"
#include "tests/suites/blob_store_suite.hpp"

namespace stele::fs {

// A directory of its own, removed with everything in it.
class ScratchDirectory {
 public:
  ScratchDirectory() : ScratchDirectory(std::filesystem::temp_directory_path()) {}
  explicit ScratchDirectory(const std::filesystem::path& parent)
      : path_((parent / ("stele-fs-" + random_hex(8))).string()) {
    std::filesystem::create_directory(path_);
  }
  // In memory where that is possible: for tests of which the syncs are real but not the subject.
  static std::filesystem::path fast_parent() {
    return ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : std::filesystem::temp_directory_path();
  }
  ~ScratchDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// The filesystem store in a scratch directory, through a layer of the test's choice.
class FsFixture final : public suites::BlobStoreFixture {
 public:
  explicit FsFixture(const std::string& root, FileLayer& layer = FileLayer::system())
      : root_(root), layer_(layer) {
    restart();
  }
  BlobStore& store() override { return *store_; }
  StoreLatch& latch() override { return *latch_; }
  void restart() override {
    store_.reset();
    latch_ = std::make_unique<StoreLatch>();
    auto opened = open_blob_store(root_, *latch_, layer_);
    REQUIRE(suites::ok(opened));
    store_ = std::move(*opened);
  }

 private:
  const std::string& root_;
  FileLayer& layer_;
  std::unique_ptr<StoreLatch> latch_;
  std::unique_ptr<BlobStore> store_;
};

}  // namespace stele::fs
