#pragma once
// Internal to storage/fs/: the store's class, whose work is divided by job: fs_blob_store.cpp opens, reads
// and removes, fs_uploads.cpp writes and publishes, fs_listing.cpp tells what is there.

#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "base/unique_fd.hpp"
#include "storage/blob_store.hpp"
#include "storage/fs/failure.hpp"
#include "storage/fs/file_layer.hpp"
#include "storage/store_latch.hpp"

namespace stele::fs {

inline constexpr std::array algorithms = {DigestAlgorithm::sha256, DigestAlgorithm::sha512};

// The first two hex digits of a digest as a number; -1 for any other text.
inline int shard_number(std::string_view text) {
  const auto digit = [](char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  };
  if (text.size() != 2 || digit(text[0]) < 0 || digit(text[1]) < 0) return -1;
  return digit(text[0]) * 16 + digit(text[1]);
}

// Names are paths below the data directory.
inline std::string upload_name(const UploadId& id) {
  return "uploads/" + id.str();
}
// A second file of an upload for as long as a call works with it: the sweep takes it for the upload's, and
// leaves it alone while that one is known.
inline constexpr std::string_view second_ending = ".second";
inline std::string second_name(const std::string& upload) {
  return upload + std::string(second_ending);
}
inline std::string algorithm_name(DigestAlgorithm algorithm) {
  return "blobs/" + std::string(to_string(algorithm));
}
inline std::string shard_name(const Digest& digest) {
  return algorithm_name(digest.algorithm()) + "/" + std::string(digest.hex().substr(0, 2));
}
inline std::string blob_name(const Digest& digest) {
  return shard_name(digest) + "/" + std::string(digest.hex());
}

inline Error unknown_upload(const UploadId& id) {
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

}  // namespace stele::fs
