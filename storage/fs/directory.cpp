#include "storage/fs/directory.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <memory>

#include "storage/fs/failure.hpp"

namespace stele::fs {
namespace {

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

DirectoryEntry::Kind kind_of(mode_t mode) {
  if (S_ISREG(mode)) return DirectoryEntry::Kind::file;
  if (S_ISDIR(mode)) return DirectoryEntry::Kind::directory;
  return DirectoryEntry::Kind::other;
}

}  // namespace

UniqueFd open_directory(FileLayer& layer, const std::string& path) {
  return UniqueFd(uninterrupted([&] { return layer.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0); }));
}

Result<std::vector<DirectoryEntry>> read_directory(FileLayer& layer, const std::string& path,
                                                   const std::string& name) {
  std::vector<DirectoryEntry> entries;
  UniqueFd file = open_directory(layer, path);
  if (!file && errno == ENOENT) return entries;
  if (!file) return call_failure("list " + name, errno);
  const std::unique_ptr<DIR, CloseDirectory> directory(::fdopendir(file.get()));
  if (!directory) return call_failure("list " + name, errno);
  file.release();  // closedir() closes it

  while (true) {
    errno = 0;
    const dirent* next = ::readdir(directory.get());
    if (!next && errno != 0) return call_failure("list " + name, errno);
    if (!next) return entries;
    const std::string_view entry_name(next->d_name);
    if (entry_name == "." || entry_name == "..") continue;
    struct stat info{};
    if (::fstatat(::dirfd(directory.get()), next->d_name, &info, AT_SYMLINK_NOFOLLOW) < 0) {
      if (errno == ENOENT) continue;  // removed since
      return call_failure("list " + name + "/" + std::string(entry_name), errno);
    }
    DirectoryEntry entry;
    entry.name = entry_name;
    entry.kind = kind_of(info.st_mode);
    entry.size = static_cast<std::uint64_t>(info.st_size);
    entry.modified = {static_cast<std::int64_t>(info.st_mtim.tv_sec) * 1'000'000 +
                      info.st_mtim.tv_nsec / 1000};
    entries.push_back(std::move(entry));
  }
}

}  // namespace stele::fs
