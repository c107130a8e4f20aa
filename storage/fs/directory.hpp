#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "storage/fs/file_layer.hpp"

namespace stele::fs {

struct DirectoryEntry {
  enum class Kind { file, directory, other };
  std::string name;
  Kind kind = Kind::other;  // symbolic links are `other`: they are never followed
  std::uint64_t size = 0;
  Timestamp modified;
};

// All entries but "." and "..", in no order, read before the first is returned so that they may be removed
// meanwhile. Empty when there is no such directory. `name` is the path below the data directory, for
// messages.
Result<std::vector<DirectoryEntry>> read_directory(FileLayer& layer, const std::string& path,
                                                   const std::string& name);

// A descriptor to fsync; invalid, with errno set, when it cannot be opened.
UniqueFd open_directory(FileLayer& layer, const std::string& path);

}  // namespace stele::fs
