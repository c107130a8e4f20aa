// What files are there, for the sweep and for fsck.
#include "storage/fs/directory.hpp"
#include "storage/fs/fs_blob_store_impl.hpp"

namespace stele::fs {

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

}  // namespace stele::fs
