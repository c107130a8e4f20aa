#pragma once
// A FileLayer over the kernel's own that can make chosen calls fail, and that records what was asked of it
// and in which order.

#include <fcntl.h>

#include <array>
#include <cerrno>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "storage/fs/file_layer.hpp"

namespace stele::fs {

enum class Call {
  open,
  write,
  pread,
  ftruncate,
  fdatasync,
  fsync,
  sync_file_range,
  link,
  rename,
  unlink,
  mkdir,
  fchmod,
  statvfs
};
inline constexpr std::array<std::string_view, 13> call_names = {
    "open", "write",  "pread",  "ftruncate", "fdatasync", "fsync",  "sync_file_range",
    "link", "rename", "unlink", "mkdir",     "fchmod",    "statvfs"};
inline std::string_view to_string(Call call) {
  return call_names[static_cast<std::size_t>(call)];
}
inline bool is_sync(Call call) {
  return call == Call::fdatasync || call == Call::fsync || call == Call::sync_file_range;
}

// Which call fails and how. Calls are counted from the moment the fault is injected.
struct Fault {
  std::optional<Call> call = {};  // none: calls of every kind count
  unsigned nth = 1;
  int error = EIO;  // 0: nothing fails, which leaves `half`
  bool from_then_on = false;
  // The n-th call, a write or pread, transfers half of what was asked; the one after it fails.
  bool half = false;
};

// One call as it was made. Paths are relative to the layer's root; calls on a descriptor carry the path it
// was opened with.
struct Operation {
  Call call;
  std::string path;
  std::string to = {};  // link, rename
  int flags = 0;        // open
  int error = 0;
  bool injected = false;
};

class InjectingFileLayer final : public FileLayer {
 public:
  explicit InjectingFileLayer(std::string root) : root_(std::move(root)) {}

  // Several faults may be waiting at once; the first that applies to a call decides.
  void inject(Fault fault) {
    const std::lock_guard lock(mutex_);
    faults_.push_back({fault, 0});
  }
  void clear_faults() {
    const std::lock_guard lock(mutex_);
    faults_.clear();
  }

  std::vector<Operation> record() const {
    const std::lock_guard lock(mutex_);
    return record_;
  }
  // The operations from the `from`-th on.
  std::vector<Operation> record_since(std::size_t from) const {
    const std::lock_guard lock(mutex_);
    return {record_.begin() + static_cast<std::ptrdiff_t>(from), record_.end()};
  }
  std::size_t operations() const {
    const std::lock_guard lock(mutex_);
    return record_.size();
  }

  int open(const std::string& path, int flags, mode_t mode) override {
    Operation operation{Call::open, relative(path)};
    operation.flags = flags;
    const int fd = run_int(operation, [&] { return system_.open(path, flags, mode); });
    const std::lock_guard lock(mutex_);
    if (fd >= 0) paths_[fd] = operation.path;
    return fd;
  }
  ssize_t write(int fd, const void* data, std::size_t size) override {
    return run({Call::write, path_of(fd)},
               [&](bool half) { return system_.write(fd, data, part(size, half)); });
  }
  ssize_t pread(int fd, void* data, std::size_t size, off_t offset) override {
    return run({Call::pread, path_of(fd)},
               [&](bool half) { return system_.pread(fd, data, part(size, half), offset); });
  }
  int ftruncate(int fd, off_t size) override {
    return run_int({Call::ftruncate, path_of(fd)}, [&] { return system_.ftruncate(fd, size); });
  }
  int fdatasync(int fd) override {
    return run_int({Call::fdatasync, path_of(fd)}, [&] { return system_.fdatasync(fd); });
  }
  int fsync(int fd) override {
    return run_int({Call::fsync, path_of(fd)}, [&] { return system_.fsync(fd); });
  }
  int sync_file_range(int fd, off_t offset, off_t size, unsigned flags) override {
    return run_int({Call::sync_file_range, path_of(fd)},
                   [&] { return system_.sync_file_range(fd, offset, size, flags); });
  }
  int link(const std::string& from, const std::string& to) override {
    return run_int({Call::link, relative(from), relative(to)}, [&] { return system_.link(from, to); });
  }
  int rename(const std::string& from, const std::string& to) override {
    return run_int({Call::rename, relative(from), relative(to)}, [&] { return system_.rename(from, to); });
  }
  int unlink(const std::string& path) override {
    return run_int({Call::unlink, relative(path)}, [&] { return system_.unlink(path); });
  }
  int mkdir(const std::string& path, mode_t mode) override {
    return run_int({Call::mkdir, relative(path)}, [&] { return system_.mkdir(path, mode); });
  }
  int fchmod(int fd, mode_t mode) override {
    return run_int({Call::fchmod, path_of(fd)}, [&] { return system_.fchmod(fd, mode); });
  }
  int statvfs(const std::string& path, struct statvfs& info) override {
    return run_int({Call::statvfs, relative(path)}, [&] { return system_.statvfs(path, info); });
  }

 private:
  struct Armed {
    Fault fault;
    unsigned seen;
  };
  struct Decision {
    int error = 0;
    bool half = false;
  };

  static std::size_t part(std::size_t size, bool half) { return half ? (size + 1) / 2 : size; }

  std::string relative(const std::string& path) const {
    if (path == root_ || path == root_ + "/.") return ".";
    return path.starts_with(root_ + "/") ? path.substr(root_.size() + 1) : path;
  }
  std::string path_of(int fd) const {
    const std::lock_guard lock(mutex_);
    const auto found = paths_.find(fd);
    return found == paths_.end() ? "?" : found->second;
  }

  Decision decide(Call call) {
    const std::lock_guard lock(mutex_);
    Decision decision;
    for (auto& [fault, seen] : faults_) {
      if (fault.call && *fault.call != call) continue;
      ++seen;
      const unsigned failing = fault.nth + (fault.half ? 1 : 0);
      const bool fails = fault.error != 0 && (seen == failing || (fault.from_then_on && seen > failing));
      if (fails && decision.error == 0) decision.error = fault.error;
      if (fault.half && seen == fault.nth) decision.half = true;
    }
    return decision;
  }

  // `system` makes the call, of half the size where it is told so; for both, -1 and errno mean failure.
  long run(Operation operation, const std::function<long(bool half)>& system) {
    const Decision decision = decide(operation.call);
    const long result = decision.error != 0 ? -1 : system(decision.half);
    operation.error = decision.error != 0 ? decision.error : (result < 0 ? errno : 0);
    operation.injected = decision.error != 0;
    const int error = operation.error;
    {
      const std::lock_guard lock(mutex_);
      record_.push_back(std::move(operation));
    }
    errno = error;
    return result;
  }
  int run_int(Operation operation, const std::function<int()>& system) {
    return static_cast<int>(run(std::move(operation), [&](bool) { return system(); }));
  }

  const std::string root_;
  FileLayer& system_ = FileLayer::system();
  mutable std::mutex mutex_;
  std::vector<Armed> faults_;
  std::vector<Operation> record_;
  std::unordered_map<int, std::string> paths_;
};

}  // namespace stele::fs
