#pragma once
// Files that somebody else writes while the server runs: how one is told from the one that was read last, and
// how it is read whole. Symbolic links are followed, so that one that is pointed elsewhere, as Kubernetes
// does, is another file.

#include <cstdint>
#include <string>

#include "base/result.hpp"

namespace stele {

// A value. Two that are equal are of the same content, unless the file was changed twice within
// is_settled()'s time.
struct FileSignature {
  std::uint64_t device = 0, inode = 0;
  std::int64_t size = -1;  // -1: nothing is there
  std::int64_t modified_seconds = 0, modified_nanoseconds = 0;

  // One stat(2); blocks as that does.
  static FileSignature of(const std::string& path);
  // False for a time so near that the file may change again without showing it.
  bool is_settled() const;
  bool operator==(const FileSignature&) const = default;
};

// Blocks. unavailable with the reason of the system; io; parameter_invalid when it has more than `most`
// bytes. All begin with the path.
Result<std::string> read_whole_file(const std::string& path, std::size_t most);

}  // namespace stele
