#include "storage/fs/fs_blob_store.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <vector>

#include "storage/fs/blob_file.hpp"
#include "storage/fs/directory.hpp"
#include "storage/fs/failure.hpp"

namespace stele::fs {
namespace {

constexpr std::array algorithms = {DigestAlgorithm::sha256, DigestAlgorithm::sha512};

// The first two hex digits of a digest as a number; -1 for any other text.
int shard_number(std::string_view text) {
  const auto digit = [](char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  };
  if (text.size() != 2 || digit(text[0]) < 0 || digit(text[1]) < 0) return -1;
  return digit(text[0]) * 16 + digit(text[1]);
}

// Names are paths below the data directory.
std::string upload_name(const UploadId& id) {
  return "uploads/" + id.str();
}
// A second file of an upload for as long as a call works with it: the sweep takes it for the upload's, and
// leaves it alone while that one is known.
constexpr std::string_view second_ending = ".second";
std::string second_name(const std::string& upload) {
  return upload + std::string(second_ending);
}
std::string algorithm_name(DigestAlgorithm algorithm) {
  return "blobs/" + std::string(to_string(algorithm));
}
std::string shard_name(const Digest& digest) {
  return algorithm_name(digest.algorithm()) + "/" + std::string(digest.hex().substr(0, 2));
}
std::string blob_name(const Digest& digest) {
  return shard_name(digest) + "/" + std::string(digest.hex());
}

Error unknown_upload(const UploadId& id) {
  return Error(Errc::upload_unknown,
               "upload session " + id.str() + " has no content here; begin the upload again");
}

class FsBlobStore final : public BlobStore {
 public:
  FsBlobStore(std::string root, StoreLatch& latch, FileLayer& layer)
      : root_(std::move(root)), latch_(latch), layer_(layer) {}

  Result<void> prepare();

  Result<std::unique_ptr<BlobReader>> open(const Digest&) override;
  Result<std::unique_ptr<BlobWriter>> create(const UploadId&) override;
  Result<std::unique_ptr<BlobWriter>> resume(const UploadId&, std::uint64_t size) override;
  Result<std::unique_ptr<BlobReader>> open_upload(const UploadId&) override;
  Result<void> publish(const UploadId&, const Digest&, Upload upload) override;
  Result<void> discard(const UploadId& id) override {
    auto removed = unlink(upload_name(id));
    auto second = unlink(second_name(upload_name(id)));
    return removed ? second : removed;
  }
  Result<void> remove(const Digest& digest) override { return unlink(blob_name(digest)); }
  Result<void> set_aside(const Digest&) override;
  Result<void> list_uploads(const std::function<void(const UploadFile&)>&,
                            const std::function<void(const std::string&)>& foreign) override;
  Result<void> list_blobs(const std::function<void(const BlobFile&)>&,
                          const std::function<void(const std::string&)>& foreign) override;
  Result<SpaceInfo> space() override;

 private:
  // Whether a shard's directory is known to exist durably: spares a mkdir and an fsync per publish.
  std::atomic<bool>& shard_known(const Digest& digest) {
    const auto number = static_cast<std::size_t>(shard_number(digest.hex().substr(0, 2)));
    return shards_[static_cast<std::size_t>(digest.algorithm())][number];
  }

  std::string path(const std::string& name) const { return root_ + "/" + name; }
  UniqueFd open_file(const std::string& name, int flags) {
    return UniqueFd(
        uninterrupted([&] { return layer_.open(path(name), flags | O_CLOEXEC | O_NOFOLLOW, 0600); }));
  }
  Result<std::unique_ptr<BlobReader>> open_for_reading(const std::string& name, Error missing);
  UniqueFd open_for_appending(const std::string& name, const UniqueFd& readable);
  Result<std::unique_ptr<BlobWriter>> copy_apart(const std::string& name, UniqueFd from, std::uint64_t size);
  Result<void> name_blob(const std::string& name, const struct stat& file, const Digest&, Upload);

  Result<void> unlink(const std::string& name);
  Result<void> make_directory(const std::string& name);
  Result<void> sync_directory(const std::string& name);
  Result<void> check_one_file_system() const;
  Result<void> learn_shards(DigestAlgorithm);
  Result<void> make_shard(const Digest&);
  Result<UniqueFd> open_shard(const Digest&);
  Result<void> list_shard(DigestAlgorithm, const std::string& shard,
                          const std::function<void(const BlobFile&)>&,
                          const std::function<void(const std::string&)>& foreign);

  const std::string root_;
  StoreLatch& latch_;
  FileLayer& layer_;
  std::mutex shards_mutex_;  // held while a shard's directory is made
  std::array<std::array<std::atomic<bool>, 256>, algorithms.size()> shards_{};
};

// --- opening the store
// ----------------------------------------------------------------------------------------------

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

// --- reading
// --------------------------------------------------------------------------------------------------------

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

// --- uploading
// ------------------------------------------------------------------------------------------------------

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

// --- removing
// -------------------------------------------------------------------------------------------------------

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

// --- listing
// --------------------------------------------------------------------------------------------------------

Result<void> FsBlobStore::list_uploads(const std::function<void(const UploadFile&)>& found,
                                       const std::function<void(const std::string&)>& foreign) {
  const auto entries = read_directory(layer_, path("uploads"), "uploads");
  if (!entries) return entries.error();
  for (const auto& entry : *entries) {
    std::string_view name = entry.name;
    if (name.ends_with(second_ending)) name.remove_suffix(second_ending.size());
    const auto id = UploadId::parse(name);
    if (id && entry.kind == DirectoryEntry::Kind::file) {
      found({*id, entry.size, entry.modified});
    } else {
      foreign("uploads/" + entry.name);
    }
  }
  return {};
}

Result<void> FsBlobStore::list_blobs(const std::function<void(const BlobFile&)>& found,
                                     const std::function<void(const std::string&)>& foreign) {
  const auto tops = read_directory(layer_, path("blobs"), "blobs");
  if (!tops) return tops.error();
  for (const auto& top : *tops) {
    if (!parse_digest_algorithm(top.name)) foreign("blobs/" + top.name);
  }
  for (const auto algorithm : algorithms) {
    const std::string name = algorithm_name(algorithm);
    const auto shards = read_directory(layer_, path(name), name);
    if (!shards) return shards.error();
    for (const auto& shard : *shards) {
      if (shard_number(shard.name) < 0 || shard.kind != DirectoryEntry::Kind::directory) {
        foreign(name + "/" + shard.name);
      } else if (auto listed = list_shard(algorithm, shard.name, found, foreign); !listed) {
        return listed;
      }
    }
  }
  return {};
}

Result<void> FsBlobStore::list_shard(DigestAlgorithm algorithm, const std::string& shard,
                                     const std::function<void(const BlobFile&)>& found,
                                     const std::function<void(const std::string&)>& foreign) {
  const std::string name = algorithm_name(algorithm) + "/" + shard;
  const auto entries = read_directory(layer_, path(name), name);
  if (!entries) return entries.error();
  for (const auto& entry : *entries) {
    const auto digest = Digest::parse(std::string(to_string(algorithm)) + ":" + entry.name);
    if (digest && entry.kind == DirectoryEntry::Kind::file && entry.name.starts_with(shard)) {
      found({*digest, entry.size, entry.modified});
    } else {
      foreign(name + "/" + entry.name);
    }
  }
  return {};
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

}  // namespace

Result<std::unique_ptr<BlobStore>> open_blob_store(const std::string& root, StoreLatch& latch,
                                                   FileLayer& layer) {
  auto store = std::make_unique<FsBlobStore>(root, latch, layer);
  if (auto prepared = store->prepare(); !prepared) return prepared.error();
  return store;
}

}  // namespace stele::fs
