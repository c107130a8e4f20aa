#include "storage/fs/fs_blob_store.hpp"

#include <fcntl.h>

#include "storage/fs/blob_file.hpp"
#include "storage/fs/directory.hpp"
#include "storage/fs/fs_blob_store_impl.hpp"

namespace stele::fs {

Result<void> FsBlobStore::prepare() {
  if (auto open = latch_.check(); !open) return open;
  for (const char* name : {"uploads", "blobs", "blobs/sha256", "blobs/sha512"}) {
    if (auto made = make_directory(name); !made) return made;
  }
  if (auto same = check_one_file_system(); !same) return same;
  for (const auto algorithm : algorithms) {
    if (auto learnt = learn_shards(algorithm); !learnt) return learnt;
  }
  if (auto synced = sync_directory("blobs"); !synced) return synced;
  return sync_directory(".");
}

// publish() renames from one into the other.
Result<void> FsBlobStore::check_one_file_system() const {
  struct stat uploads{};
  if (::stat(path("uploads").c_str(), &uploads) < 0) return call_failure("look at uploads", errno);
  for (const auto algorithm : algorithms) {
    const std::string name = algorithm_name(algorithm);
    struct stat blobs{};
    if (::stat(path(name).c_str(), &blobs) < 0) return call_failure("look at " + name, errno);
    if (blobs.st_dev != uploads.st_dev) {
      return Error(Errc::io, "uploads and " + name + " in " + root_ +
                                 " are on different file systems; put the whole data directory on one");
    }
  }
  return {};
}

// A directory that an earlier process made just before it died may not be durable yet: listed first, then
// synced, all are.
Result<void> FsBlobStore::learn_shards(DigestAlgorithm algorithm) {
  const std::string name = algorithm_name(algorithm);
  const auto entries = read_directory(layer_, path(name), name);
  if (!entries) return entries.error();
  if (auto synced = sync_directory(name); !synced) return synced;
  for (const auto& entry : *entries) {
    const int number = shard_number(entry.name);
    if (number < 0 || entry.kind != DirectoryEntry::Kind::directory) continue;
    shards_[static_cast<std::size_t>(algorithm)][static_cast<std::size_t>(number)] = true;
  }
  return {};
}

Result<void> FsBlobStore::make_directory(const std::string& name) {
  if (layer_.mkdir(path(name), 0700) < 0 && errno != EEXIST) return call_failure("create " + name, errno);
  return {};
}

Result<void> FsBlobStore::sync_directory(const std::string& name) {
  const UniqueFd directory = open_directory(layer_, path(name));
  if (!directory) return call_failure("open " + name, errno);
  if (uninterrupted([&] { return layer_.fsync(directory.get()); }) < 0) {
    return sync_failure(latch_, "fsync", name, errno);
  }
  return {};
}

Result<std::unique_ptr<BlobReader>> FsBlobStore::open_for_reading(const std::string& name, Error missing) {
  UniqueFd file = open_file(name, O_RDONLY);
  if (!file && errno == ENOENT) return missing;
  if (!file) return call_failure("open " + name, errno);
  struct stat info{};
  if (::fstat(file.get(), &info) < 0) return call_failure("look at " + name, errno);
  if (!S_ISREG(info.st_mode)) return Error(Errc::io, name + " is not a regular file");
  return std::make_unique<FileReader>(layer_, std::move(file), static_cast<std::uint64_t>(info.st_size),
                                      name);
}

Result<std::unique_ptr<BlobReader>> FsBlobStore::open(const Digest& digest) {
  return open_for_reading(blob_name(digest),
                          Error(Errc::blob_unknown, "blob " + digest.str() + " is not stored here"));
}

Result<std::unique_ptr<BlobReader>> FsBlobStore::open_upload(const UploadId& id) {
  return open_for_reading(upload_name(id), unknown_upload(id));
}

// Not synced: a file that comes back after a power cut is an orphan, which the sweep removes.
Result<void> FsBlobStore::unlink(const std::string& name) {
  if (auto open = latch_.check(); !open) return open;
  if (layer_.unlink(path(name)) < 0 && errno != ENOENT) return call_failure("remove " + name, errno);
  return {};
}

// The new name is durable before the old one's directory is: a power cut leaves the file in one of the two.
Result<void> FsBlobStore::set_aside(const Digest& digest) {
  if (auto open = latch_.check(); !open) return open;
  const std::string aside = "quarantine/" + std::string(to_string(digest.algorithm()));
  for (const std::string& name : {std::string("quarantine"), aside}) {
    if (auto made = make_directory(name); !made) return made;
  }
  const std::string name = blob_name(digest);
  if (layer_.rename(path(name), path(aside + "/" + std::string(digest.hex()))) < 0) {
    if (errno == ENOENT) return Error(Errc::blob_unknown, "blob " + digest.str() + " is not stored here");
    return call_failure("move " + name + " to " + aside, errno);
  }
  for (const std::string& directory : {aside, std::string("quarantine"), std::string(".")}) {
    if (auto synced = sync_directory(directory); !synced) return synced;
  }
  return sync_directory(shard_name(digest));
}

Result<SpaceInfo> FsBlobStore::space() {
  struct statvfs info{};
  if (uninterrupted([&] { return layer_.statvfs(root_, info); }) < 0) {
    return call_failure("ask for the space of the data directory", errno);
  }
  SpaceInfo space;
  space.total_bytes = static_cast<std::uint64_t>(info.f_blocks) * info.f_frsize;
  space.available_bytes = static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
  return space;
}

Result<std::unique_ptr<BlobStore>> open_blob_store(const std::string& root, StoreLatch& latch,
                                                   FileLayer& layer) {
  auto store = std::make_unique<FsBlobStore>(root, latch, layer);
  if (auto prepared = store->prepare(); !prepared) return prepared.error();
  return store;
}

}  // namespace stele::fs
