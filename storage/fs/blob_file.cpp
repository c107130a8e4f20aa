#include "storage/fs/blob_file.hpp"

#include <fcntl.h>
#include <sys/uio.h>

#include <algorithm>

#include "storage/fs/failure.hpp"

namespace stele::fs {
namespace {

constexpr std::uint64_t writeback_step = 8 << 20;

// Whether the page there is in memory; also when the file system cannot tell.
bool in_memory(int fd, std::uint64_t offset) {
  char byte = 0;
  iovec into{&byte, 1};
  return ::preadv2(fd, &into, 1, static_cast<off_t>(offset), RWF_NOWAIT) >= 0 || errno != EAGAIN;
}

}  // namespace

FileReader::FileReader(FileLayer& layer, UniqueFd file, std::uint64_t size, std::string name)
    : layer_(layer), file_(std::move(file)), size_(size), name_(std::move(name)) {}

Result<std::size_t> FileReader::read_at(std::uint64_t offset, ByteSpan out) const {
  std::size_t filled = 0;
  if (offset >= size_) return filled;
  out = out.first(static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), size_ - offset)));
  while (filled < out.size()) {
    const auto got = uninterrupted([&] {
      return layer_.pread(file_.get(), out.data() + filled, out.size() - filled,
                          static_cast<off_t>(offset + filled));
    });
    if (got < 0) return call_failure("read " + name_, errno);
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
  }
  return filled;
}

Result<std::size_t> FileReader::read_once(std::uint64_t offset, ByteSpan out) const {
  if (offset >= size_ || out.empty()) return std::size_t{0};
  // Without it the kernel would read ahead, and the next call would find in memory what nobody asked for.
  ::posix_fadvise(file_.get(), 0, 0, POSIX_FADV_RANDOM);
  const std::uint64_t end = std::min<std::uint64_t>(size_, offset + out.size());
  const bool keep = in_memory(file_.get(), offset) && in_memory(file_.get(), end - 1);
  auto read = read_at(offset, out);
  if (!keep)
    ::posix_fadvise(file_.get(), static_cast<off_t>(offset), static_cast<off_t>(end - offset),
                    POSIX_FADV_DONTNEED);
  return read;
}

FileWriter::FileWriter(FileLayer& layer, StoreLatch& latch, UniqueFd file, std::uint64_t size,
                       std::string name)
    : layer_(layer),
      latch_(latch),
      file_(std::move(file)),
      size_(size),
      writeback_from_(size),
      name_(std::move(name)) {}

Result<void> FileWriter::check() const {
  if (auto open = latch_.check(); !open) return open;
  if (broken_) {
    return Error(Errc::io,
                 name_ +
                     " could not be cut back to its last good byte after a failed write; resume the "
                     "upload or begin it again");
  }
  return {};
}

Result<void> FileWriter::append(ByteView bytes) {
  if (auto ready = check(); !ready) return ready;
  if (bytes.empty()) return {};
  unsynced_ = true;
  auto written = write_all(bytes);
  if (written) written = start_writeback(size_ + bytes.size());
  if (!written) {
    cut_back();
    return written;
  }
  size_ += bytes.size();
  return {};
}

Result<void> FileWriter::write_all(ByteView bytes) {
  while (!bytes.empty()) {
    const auto wrote = uninterrupted([&] { return layer_.write(file_.get(), bytes.data(), bytes.size()); });
    // A write of nothing is no progress: without this, a file system that answers so would hold the thread
    // for ever.
    if (wrote <= 0) return call_failure("write " + name_, wrote < 0 ? errno : EIO);
    bytes = bytes.subspan(static_cast<std::size_t>(wrote));
  }
  return {};
}

Result<void> FileWriter::start_writeback(std::uint64_t end) {
  if (end - writeback_from_ < writeback_step) return {};
  const int result = uninterrupted([&] {
    return layer_.sync_file_range(file_.get(), static_cast<off_t>(writeback_from_),
                                  static_cast<off_t>(end - writeback_from_), SYNC_FILE_RANGE_WRITE);
  });
  // These say that accepted bytes were lost, as a failed fdatasync does; anything else, that the hint is not
  // supported.
  if (result < 0 && (errno == EIO || errno == ENOSPC || errno == EDQUOT)) {
    return sync_failure(latch_, "sync_file_range", name_, errno);
  }
  writeback_from_ = end;
  return {};
}

void FileWriter::cut_back() {
  broken_ = uninterrupted([&] { return layer_.ftruncate(file_.get(), static_cast<off_t>(size_)); }) < 0;
}

Result<void> FileWriter::sync() {
  if (auto ready = check(); !ready) return ready;
  if (!unsynced_) return {};
  if (uninterrupted([&] { return layer_.fdatasync(file_.get()); }) < 0) {
    broken_ = true;
    return sync_failure(latch_, "fdatasync", name_, errno);
  }
  unsynced_ = false;
  // A sync that failed elsewhere meanwhile may have taken the report of an error that concerned this file's
  // metadata.
  return latch_.check();
}

}  // namespace stele::fs
