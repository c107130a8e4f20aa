#pragma once
// A file layer below SQLite: it makes chosen calls fail (I7), and it knows what would be left of each file
// after a power cut (I1): what was synced, and of the rest as much as one likes.

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace stele::sql {

// Registered with SQLite under name() for as long as it lives; wraps the default one. Thread-safe. Databases
// that use it are closed before it goes.
class FaultyVfs {
 public:
  enum class Call { open, read, write, sync, truncate, remove, map };
  struct Fault {
    std::optional<Call> call = {};  // none: calls of every kind count but reads
    unsigned nth = 1;
    int error = 5;  // an errno: EIO, ENOSPC, EDQUOT
    bool from_then_on = false;
    bool half = false;  // a write transfers half of its bytes before it fails
  };

  FaultyVfs();
  ~FaultyVfs();
  FaultyVfs(const FaultyVfs&) = delete;
  FaultyVfs& operator=(const FaultyVfs&) = delete;

  const std::string& name() const;

  // Counting begins anew. Only calls that would change something on a disk are counted as `map`.
  void inject(const Fault&);
  void clear();
  // The fault has happened since inject().
  bool fired() const;

  // The file as a power cut leaves it. Synced bytes are there; of each sector written later, `seed` decides
  // (0: none is). What a failed sync should have written is lost, although it can be read. Empty when the
  // file would not be there.
  std::optional<std::string> after_power_cut(const std::string& path, std::uint32_t seed) const;

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace stele::sql
