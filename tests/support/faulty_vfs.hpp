#pragma once
// A file layer below SQLite: it makes chosen calls fail (I7), and it knows what would be left of each file
// after a power cut (I1): what was synced, and of the rest as much as one likes.

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
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

  // Told of what was done to the main file, the log and the journal, while it holds the lock. Absolute paths.
  class Observer {
   public:
    virtual ~Observer() = default;
    virtual std::recursive_mutex& one_at_a_time() = 0;
    virtual void opened_file(const std::string& path, bool main) = 0;
    virtual void written(const std::string& path, std::uint64_t offset, std::string_view bytes) = 0;
    virtual void truncated(const std::string& path, std::uint64_t size) = 0;
    // `with_directory`: SQLite syncs the directory of a log that it made with the log's first sync.
    virtual void synced(const std::string& path, bool with_directory) = 0;
    virtual void removed(const std::string& path) = 0;
  };

  FaultyVfs();
  ~FaultyVfs();
  FaultyVfs(const FaultyVfs&) = delete;
  FaultyVfs& operator=(const FaultyVfs&) = delete;

  const std::string& name() const;

  // Counting begins anew. Only calls that would change something on a disk are counted as `map`.
  void inject(const Fault&);
  void clear();
  // From the beginning or not at all; the observer outlives every database.
  void observe(Observer*);

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
