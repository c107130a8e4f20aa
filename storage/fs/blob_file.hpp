#pragma once
// One open file of the blob store, for reading or for appending.

#include <string>

#include "base/unique_fd.hpp"
#include "storage/blob_store.hpp"
#include "storage/fs/file_layer.hpp"
#include "storage/store_latch.hpp"

namespace stele::fs {

class FileReader final : public BlobReader {
 public:
  // `name` is the file's path below the data directory, for messages.
  FileReader(FileLayer& layer, UniqueFd file, std::uint64_t size, std::string name);

  std::uint64_t size() const override { return size_; }
  int fd() const override { return file_.get(); }
  Result<std::size_t> read_at(std::uint64_t offset, ByteSpan out) const override;
  Result<std::size_t> read_once(std::uint64_t offset, ByteSpan out) const override;

 private:
  FileLayer& layer_;
  UniqueFd file_;
  std::uint64_t size_;
  std::string name_;
};

class FileWriter final : public BlobWriter {
 public:
  // `file` is open with O_APPEND and `size` bytes long: a write after a cut then continues where the cut was
  // made.
  FileWriter(FileLayer& layer, StoreLatch& latch, UniqueFd file, std::uint64_t size, std::string name);

  std::uint64_t size() const override { return size_; }
  Result<void> append(ByteView) override;
  Result<void> sync() override;

 private:
  Result<void> check() const;
  Result<void> write_all(ByteView);
  // Starts writing to the disk early, so that the final fdatasync has little left to do.
  Result<void> start_writeback(std::uint64_t end);
  void cut_back();

  FileLayer& layer_;
  StoreLatch& latch_;
  UniqueFd file_;
  std::uint64_t size_;
  std::uint64_t writeback_from_;
  std::string name_;
  // Something has changed since the last sync. True at first: the file itself may not be on the disk yet.
  bool unsynced_ = true;
  // The file could not be cut back, or a sync failed: what it holds behind size_ or on the disk is not known.
  bool broken_ = false;
};

}  // namespace stele::fs
