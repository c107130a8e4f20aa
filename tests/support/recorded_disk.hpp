#pragma once
// A disk that remembers all that the blob store and SQLite ask of it, in one order, and what a machine whose
// power fails at any moment in between finds on it (I1, I2).
//
// Assumed is what POSIX promises and nothing more: a file's bytes are on the disk once the file was synced, a
// name is there, or gone, once its directory was. Whatever no sync has followed may be there or not, each
// sector of 512 bytes and each name for itself, in any order.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "storage/fs/file_layer.hpp"

namespace stele {

// Paths are relative to the root; "." is the root itself.
struct DiskStep {
  enum class Kind { create, write, truncate, sync, sync_directory, link, rename, remove, mkdir, mark };
  Kind kind;
  std::string path = {};
  std::string to = {};       // link, rename
  int file = -1;             // create, write, truncate, sync
  std::uint64_t offset = 0;  // write, truncate; mark: its number
  std::string bytes = {};    // write
};

// Everything in an empty directory is recorded from the beginning. Thread-safe; a call and its record are
// one. Outlives the store and the database that use it.
class RecordedDisk {
 public:
  explicit RecordedDisk(std::string root);
  ~RecordedDisk();
  RecordedDisk(const RecordedDisk&) = delete;
  RecordedDisk& operator=(const RecordedDisk&) = delete;

  fs::FileLayer& layer();
  const std::string& vfs() const;

  // Something that the outside was told between two steps.
  void mark(std::uint64_t number);
  std::vector<DiskStep> record() const;

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

// The disk after the first steps of a record.
class DiskReplay {
 public:
  // One step more.
  void take(const DiskStep&);

  // Makes the directory `where` what a restart finds. Without a seed: all that was done, as after kill -9.
  // With one, a power cut: 0 takes everything that no sync has followed, others some of it.
  void leave(const std::string& where, std::optional<std::uint32_t> seed) const;

 private:
  struct Change {  // of a file
    std::uint64_t offset;
    std::string bytes;
    bool truncates = false;
  };
  struct File {
    std::string synced;
    std::vector<Change> since;
  };
  using Entry = int;  // a file, or one of these
  static constexpr Entry nothing = -1, directory = -2;
  struct Directory {
    std::map<std::string, Entry> synced;
    std::vector<std::pair<std::string, Entry>> since;
  };
  class Choice;

  void set(const std::string& path, Entry);
  Entry at(const std::string& path) const;
  std::string content(const File&, Choice&) const;
  void leave_directory(const std::string& path, const std::string& root, Choice&) const;

  std::map<int, File> files_;
  std::map<std::string, Directory> directories_;
};

}  // namespace stele
