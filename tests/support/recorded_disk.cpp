#include "tests/support/recorded_disk.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <mutex>
#include <stdexcept>
#include <unordered_map>

#include "tests/support/faulty_vfs.hpp"

namespace stele {
namespace {

using Kind = DiskStep::Kind;

std::string parent(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

std::string last(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

void put(std::string& content, std::uint64_t offset, std::string_view bytes) {
  if (content.size() < offset + bytes.size()) content.resize(offset + bytes.size());
  content.replace(offset, bytes.size(), bytes);
}

}  // namespace

// --- recording

struct RecordedDisk::Impl final : fs::FileLayer, sql::FaultyVfs::Observer {
  explicit Impl(std::string directory) : root(std::move(directory)) { vfs.observe(this); }

  struct Opened {
    std::string path;
    int file;  // -1: a directory
    bool appends;
  };

  std::string relative(const std::string& path) const {
    if (path == root || path == root + "/.") return ".";
    return path.starts_with(root + "/") ? path.substr(root.size() + 1) : path;
  }
  int file_at(const std::string& path) const {
    const auto found = names.find(path);
    return found == names.end() ? -1 : found->second;
  }
  int create(const std::string& path) {
    const int file = next_file++;
    names[path] = file;
    sizes[file] = 0;
    steps.push_back({.kind = Kind::create, .path = path, .file = file});
    return file;
  }
  void wrote(int file, std::uint64_t offset, std::string bytes) {
    sizes[file] = std::max(sizes[file], offset + bytes.size());
    steps.push_back({.kind = Kind::write, .file = file, .offset = offset, .bytes = std::move(bytes)});
  }
  void cut(int file, std::uint64_t size) {
    sizes[file] = size;
    steps.push_back({.kind = Kind::truncate, .file = file, .offset = size});
  }

  // --- the blob store's calls ---

  int open(const std::string& path, int flags, mode_t mode) override {
    const std::lock_guard lock(order);
    const int fd = system_.open(path, flags, mode);
    if (fd < 0) return fd;
    const std::string name = relative(path);
    struct stat info{};
    ::fstat(fd, &info);
    int file = -1;
    if (S_ISREG(info.st_mode)) {
      file = file_at(name);
      if (file < 0) file = create(name);
    }
    opened[fd] = {name, file, (flags & O_APPEND) != 0};
    return fd;
  }
  ssize_t write(int fd, const void* data, std::size_t size) override {
    const std::lock_guard lock(order);
    const Opened& target = opened.at(fd);
    if (!target.appends) throw std::logic_error("the recorded disk knows only appending: " + target.path);
    const ssize_t written = system_.write(fd, data, size);
    if (written > 0) {
      wrote(target.file, sizes[target.file],
            {static_cast<const char*>(data), static_cast<std::size_t>(written)});
    }
    return written;
  }
  ssize_t pread(int fd, void* data, std::size_t size, off_t offset) override {
    return system_.pread(fd, data, size, offset);
  }
  int ftruncate(int fd, off_t size) override {
    const std::lock_guard lock(order);
    const int result = system_.ftruncate(fd, size);
    if (result == 0) cut(opened.at(fd).file, static_cast<std::uint64_t>(size));
    return result;
  }
  int fdatasync(int fd) override { return fsync(fd); }
  int fsync(int fd) override {
    const std::lock_guard lock(order);
    const Opened& target = opened.at(fd);
    if (target.file < 0) {
      steps.push_back({.kind = Kind::sync_directory, .path = target.path});
    } else {
      steps.push_back({.kind = Kind::sync, .path = target.path, .file = target.file});
    }
    return system_.fdatasync(fd);
  }
  int sync_file_range(int fd, off_t offset, off_t size, unsigned flags) override {
    return system_.sync_file_range(fd, offset, size, flags);
  }
  int link(const std::string& from, const std::string& to) override {
    const std::lock_guard lock(order);
    const int result = system_.link(from, to);
    if (result == 0) {
      steps.push_back({.kind = Kind::link, .path = relative(from), .to = relative(to)});
      names[relative(to)] = file_at(relative(from));
    }
    return result;
  }
  int rename(const std::string& from, const std::string& to) override {
    const std::lock_guard lock(order);
    const int result = system_.rename(from, to);
    if (result == 0) {
      steps.push_back({.kind = Kind::rename, .path = relative(from), .to = relative(to)});
      names[relative(to)] = file_at(relative(from));
      names.erase(relative(from));
    }
    return result;
  }
  int unlink(const std::string& path) override {
    const std::lock_guard lock(order);
    const int result = system_.unlink(path);
    if (result == 0) removed(path);
    return result;
  }
  int mkdir(const std::string& path, mode_t mode) override {
    const std::lock_guard lock(order);
    const int result = system_.mkdir(path, mode);
    if (result == 0) steps.push_back({.kind = Kind::mkdir, .path = relative(path)});
    return result;
  }
  // A mode decides nothing for whoever restarts as root or as the owner.
  int fchmod(int fd, mode_t mode) override { return system_.fchmod(fd, mode); }
  int statvfs(const std::string& path, struct statvfs& info) override { return system_.statvfs(path, info); }

  // --- SQLite's ---

  std::recursive_mutex& one_at_a_time() override { return order; }
  void opened_file(const std::string& path, bool main) override {
    const std::string name = relative(path);
    if (file_at(name) >= 0) return;
    create(name);
    // The driver makes the main file and syncs its directory before SQLite sees it.
    if (main) steps.push_back({.kind = Kind::sync_directory, .path = parent(name)});
  }
  void written(const std::string& path, std::uint64_t offset, std::string_view bytes) override {
    wrote(file_at(relative(path)), offset, std::string(bytes));
  }
  void truncated(const std::string& path, std::uint64_t size) override { cut(file_at(relative(path)), size); }
  void synced(const std::string& path, bool with_directory) override {
    const std::string name = relative(path);
    steps.push_back({.kind = Kind::sync, .path = name, .file = file_at(name)});
    if (with_directory) steps.push_back({.kind = Kind::sync_directory, .path = parent(name)});
  }
  void removed(const std::string& path) override {
    names.erase(relative(path));
    steps.push_back({.kind = Kind::remove, .path = relative(path)});
  }

  const std::string root;
  fs::FileLayer& system_ = fs::FileLayer::system();
  std::recursive_mutex order;
  std::vector<DiskStep> steps;
  std::map<std::string, int> names;
  std::map<int, std::uint64_t> sizes;
  std::unordered_map<int, Opened> opened;
  int next_file = 0;
  sql::FaultyVfs vfs;
};

RecordedDisk::RecordedDisk(std::string root) : impl_(std::make_unique<Impl>(std::move(root))) {}
RecordedDisk::~RecordedDisk() = default;

fs::FileLayer& RecordedDisk::layer() {
  return *impl_;
}
const std::string& RecordedDisk::vfs() const {
  return impl_->vfs.name();
}
void RecordedDisk::mark(std::uint64_t number) {
  const std::lock_guard lock(impl_->order);
  impl_->steps.push_back({.kind = Kind::mark, .offset = number});
}
std::vector<DiskStep> RecordedDisk::record() const {
  const std::lock_guard lock(impl_->order);
  return impl_->steps;
}

// --- replaying

// What of the unsynced survives, and where each file was put already: it has one content under all its names.
class DiskReplay::Choice {
 public:
  explicit Choice(std::optional<std::uint32_t> seed) : seed_(seed), state_(seed.value_or(0)) {}
  std::map<int, std::string> put;

  bool survives() {
    if (!seed_) return true;
    if (*seed_ == 0) return false;
    state_ = state_ * 1664525u + 1013904223u;
    return (state_ >> 16 & 1) != 0;
  }

 private:
  const std::optional<std::uint32_t> seed_;
  std::uint32_t state_;
};

void DiskReplay::set(const std::string& path, Entry entry) {
  directories_[parent(path)].since.emplace_back(last(path), entry);
}

DiskReplay::Entry DiskReplay::at(const std::string& path) const {
  const auto found = directories_.find(parent(path));
  if (found == directories_.end()) return nothing;
  const Directory& where = found->second;
  for (auto change = where.since.rbegin(); change != where.since.rend(); ++change) {
    if (change->first == last(path)) return change->second;
  }
  const auto entry = where.synced.find(last(path));
  return entry == where.synced.end() ? nothing : entry->second;
}

void DiskReplay::take(const DiskStep& step) {
  switch (step.kind) {
    case Kind::create:
      files_[step.file];
      set(step.path, step.file);
      break;
    case Kind::write:
      files_[step.file].since.push_back({step.offset, step.bytes});
      break;
    case Kind::truncate:
      files_[step.file].since.push_back({step.offset, {}, true});
      break;
    case Kind::sync: {
      File& file = files_[step.file];
      for (const Change& change : file.since) {
        if (change.truncates) {
          file.synced.resize(change.offset);
        } else {
          put(file.synced, change.offset, change.bytes);
        }
      }
      file.since.clear();
      break;
    }
    case Kind::sync_directory: {
      Directory& where = directories_[step.path];
      for (const auto& [name, entry] : where.since) where.synced[name] = entry;
      where.since.clear();
      break;
    }
    case Kind::link:
      set(step.to, at(step.path));
      break;
    case Kind::rename: {
      const Entry entry = at(step.path);
      set(step.to, entry);
      set(step.path, nothing);
      break;
    }
    case Kind::remove:
      set(step.path, nothing);
      break;
    case Kind::mkdir:
      set(step.path, directory);
      break;
    case Kind::mark:
      break;
  }
}

std::string DiskReplay::content(const File& file, Choice& choice) const {
  constexpr std::size_t sector = 512;
  std::string content = file.synced;
  for (const Change& change : file.since) {
    if (change.truncates) {
      if (choice.survives()) content.resize(change.offset);
      continue;
    }
    // Cut at the disk's sectors, not at the write's ends.
    for (std::size_t from = 0; from < change.bytes.size();) {
      const std::size_t to =
          std::min<std::size_t>(change.bytes.size(), from + sector - (change.offset + from) % sector);
      if (choice.survives())
        put(content, change.offset + from, std::string_view(change.bytes).substr(from, to - from));
      from = to;
    }
  }
  return content;
}

void DiskReplay::leave_directory(const std::string& path, const std::string& root, Choice& choice) const {
  const auto found = directories_.find(path);
  if (found == directories_.end()) return;
  std::map<std::string, Entry> entries = found->second.synced;
  for (const auto& [name, entry] : found->second.since) {
    if (choice.survives()) entries[name] = entry;
  }
  for (const auto& [name, entry] : entries) {
    if (entry == nothing) continue;
    const std::string below = path == "." ? name : path + "/" + name;
    if (entry == directory) {
      std::filesystem::create_directory(root + "/" + below);
      leave_directory(below, root, choice);
    } else if (const auto [place, first] = choice.put.try_emplace(entry, root + "/" + below); first) {
      std::ofstream(place->second, std::ios::binary) << content(files_.at(entry), choice);
    } else {
      std::filesystem::create_hard_link(place->second, root + "/" + below);
    }
  }
}

void DiskReplay::leave(const std::string& where, std::optional<std::uint32_t> seed) const {
  std::filesystem::remove_all(where);
  std::filesystem::create_directory(where);
  Choice choice(seed);
  leave_directory(".", where, choice);
}

}  // namespace stele
