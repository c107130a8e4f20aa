// What is uploaded, until it is a blob.
#include <fcntl.h>

#include <algorithm>
#include <vector>

#include "storage/fs/blob_file.hpp"
#include "storage/fs/directory.hpp"
#include "storage/fs/fs_blob_store_impl.hpp"

namespace stele::fs {

Result<std::unique_ptr<BlobWriter>> FsBlobStore::create(const UploadId& id) {
  if (auto open = latch_.check(); !open) return open.error();
  const std::string name = upload_name(id);
  UniqueFd file = open_file(name, O_WRONLY | O_APPEND | O_CREAT | O_EXCL);
  if (!file) return call_failure("create " + name, errno);
  return std::make_unique<FileWriter>(layer_, latch_, std::move(file), 0, name);
}

Result<std::unique_ptr<BlobWriter>> FsBlobStore::resume(const UploadId& id, std::uint64_t size) {
  if (auto open = latch_.check(); !open) return open.error();
  const std::string name = upload_name(id);
  UniqueFd readable = open_file(name, O_RDONLY);
  if (!readable && errno == ENOENT) return unknown_upload(id);
  if (!readable) return call_failure("open " + name, errno);
  struct stat info{};
  if (::fstat(readable.get(), &info) < 0) return call_failure("look at " + name, errno);
  if (static_cast<std::uint64_t>(info.st_size) < size) return unknown_upload(id);
  if (info.st_nlink > 1) return copy_apart(name, std::move(readable), size);
  UniqueFd file = open_for_appending(name, readable);
  if (!file) return call_failure("open " + name, errno);
  if (static_cast<std::uint64_t>(info.st_size) > size &&
      uninterrupted([&] { return layer_.ftruncate(file.get(), static_cast<off_t>(size)); }) < 0) {
    return call_failure("cut " + name, errno);
  }
  return std::make_unique<FileWriter>(layer_, latch_, std::move(file), size, name);
}

// A crash inside publish() leaves the upload read-only, which an owner who is not root may not open.
UniqueFd FsBlobStore::open_for_appending(const std::string& name, const UniqueFd& readable) {
  UniqueFd file = open_file(name, O_WRONLY | O_APPEND);
  if (file || errno != EACCES || layer_.fchmod(readable.get(), 0600) < 0) return file;
  return open_file(name, O_WRONLY | O_APPEND);
}

// The file is also a blob, made of it by a publish() after which the upload stayed: what is appended or cut
// from here on must not reach the blob (I6). The copy takes the upload's name once it is complete and
// durable.
Result<std::unique_ptr<BlobWriter>> FsBlobStore::copy_apart(const std::string& name, UniqueFd from,
                                                            std::uint64_t size) {
  const std::string copy = second_name(name);
  constexpr int flags = O_WRONLY | O_APPEND | O_CREAT | O_EXCL;
  UniqueFd file = open_file(copy, flags);
  if (!file && errno == EEXIST) {  // of a call that was cut off
    (void)layer_.unlink(path(copy));
    file = open_file(copy, flags);
  }
  if (!file) return call_failure("create " + copy, errno);
  const FileReader reader(layer_, std::move(from), size, name);
  auto writer = std::make_unique<FileWriter>(layer_, latch_, std::move(file), 0, name);
  const auto fill = [&]() -> Result<void> {
    std::vector<std::byte> buffer(static_cast<std::size_t>(std::min<std::uint64_t>(size, 1 << 20)));
    while (writer->size() < size) {
      const auto got = reader.read_at(writer->size(), buffer);
      if (!got) return got.error();
      if (*got == 0) return Error(Errc::io, name + " became shorter while it was read");
      if (auto written = writer->append(ByteView(buffer).first(*got)); !written) return written;
    }
    if (auto synced = writer->sync(); !synced) return synced;
    if (layer_.rename(path(copy), path(name)) < 0) return call_failure("replace " + name, errno);
    return {};
  };
  if (auto filled = fill(); !filled) {
    (void)layer_.unlink(path(copy));  // the sweep removes it where this fails
    return filled.error();
  }
  return std::unique_ptr<BlobWriter>(std::move(writer));
}

// Everything that can fail without harm comes before the rename; after it only the fsync is left.
Result<void> FsBlobStore::publish(const UploadId& id, const Digest& digest, Upload upload) {
  if (auto open = latch_.check(); !open) return open;
  const std::string name = upload_name(id);
  const UniqueFd file = open_file(name, O_RDONLY);
  if (!file && errno == ENOENT) return unknown_upload(id);
  if (!file) return call_failure("open " + name, errno);
  struct stat info{};
  if (::fstat(file.get(), &info) < 0) return call_failure("look at " + name, errno);
  const auto shard = open_shard(digest);
  if (!shard) return shard.error();

  // The bytes are on the disk since sync(). The mode is not worth a flush of its own: ext4 and XFS write it
  // with the fsync of the directory, elsewhere a power cut leaves at worst a blob that its owner could write
  // to.
  if (layer_.fchmod(file.get(), 0400) < 0) return call_failure("make " + name + " read-only", errno);
  if (auto named = name_blob(name, info, digest, upload); !named) {
    // An upload that is no blob yet goes on as it was; resume() copes where this fails.
    if (info.st_nlink == 1) (void)layer_.fchmod(file.get(), 0600);
    return named;
  }
  if (uninterrupted([&] { return layer_.fsync(shard->get()); }) < 0) {
    return sync_failure(latch_, "fsync", shard_name(digest), errno);
  }
  // Another thread's failed fsync of this directory may have taken the report of an error that concerned this
  // entry too.
  return latch_.check();
}

// Gives the upload's file the blob's name, beside or instead of its own.
Result<void> FsBlobStore::name_blob(const std::string& name, const struct stat& file, const Digest& digest,
                                    Upload upload) {
  const std::string blob = blob_name(digest);
  // It may have it already, from an earlier publish() after which the upload stayed; rename() between two
  // names of one file does nothing and reports success.
  struct stat there{};
  const bool named =
      ::lstat(path(blob).c_str(), &there) == 0 && there.st_ino == file.st_ino && there.st_dev == file.st_dev;
  if (named) return upload == Upload::moves ? unlink(name) : Result<void>();

  // What is renamed away: the upload itself, or a second name of it.
  std::string leaving = name;
  if (upload == Upload::stays) {
    leaving = second_name(name);
    int linked = layer_.link(path(name), path(leaving));
    if (linked < 0 && errno == EEXIST) {  // of a call that was cut off
      (void)layer_.unlink(path(leaving));
      linked = layer_.link(path(name), path(leaving));
    }
    if (linked < 0) return call_failure("link " + name, errno);
  }
  if (layer_.rename(path(leaving), path(blob)) < 0) {
    const int error = errno;
    if (leaving != name) (void)layer_.unlink(path(leaving));
    return call_failure("store " + blob, error);
  }
  return {};
}

Result<UniqueFd> FsBlobStore::open_shard(const Digest& digest) {
  const std::string name = shard_name(digest);
  for (int attempt = 0;; ++attempt) {
    if (auto made = make_shard(digest); !made) return made.error();
    UniqueFd directory = open_directory(layer_, path(name));
    if (directory) return directory;
    // Somebody removed it while we were running.
    if (errno != ENOENT || attempt > 0) return call_failure("open " + name, errno);
    shard_known(digest) = false;
  }
}

Result<void> FsBlobStore::make_shard(const Digest& digest) {
  auto& known = shard_known(digest);
  if (known) return {};
  // Whoever waits here goes on only once the entry is durable, or finds the latch closed.
  const std::lock_guard lock(shards_mutex_);
  if (known) return {};
  if (auto open = latch_.check(); !open) return open;
  if (auto made = make_directory(shard_name(digest)); !made) return made;
  if (auto synced = sync_directory(algorithm_name(digest.algorithm())); !synced) return synced;
  known = true;
  return {};
}

}  // namespace stele::fs
