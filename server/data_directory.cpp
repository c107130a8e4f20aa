#include "server/data_directory.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

namespace stele {
namespace {

namespace files = std::filesystem;

constexpr std::array own_names{"stele.db",
                               "stele.db-wal",
                               "stele.db-shm",
                               "blobs",
                               "uploads",
                               "quarantine",
                               "backups",
                               "stele.sock",
                               "token-keys.json",
                               "token-keys.json.new",
                               "lock",
                               "pulls",
                               "pulls.new",
                               "pulls.set-aside",
                               "newest-event",
                               "newest-event.new",
                               "first-administrator"};

Error refused(const std::string& path, const std::string& why) {
  return Error(Errc::unavailable, "data directory " + path + ": " + why);
}

Error failed(const std::string& path, const std::string& what) {
  return refused(path, "cannot " + what + ": " + std::strerror(errno));
}

// What stands in the directory that is not ours; empty: nothing.
std::string foreign_entry(const std::string& path) {
  for (const auto& entry : files::directory_iterator(path)) {
    const std::string name = entry.path().filename();
    if (name == "lost+found") continue;
    if (std::find(own_names.begin(), own_names.end(), name) == own_names.end()) return name;
  }
  return {};
}

// Is there a blob below blobs/? Looks no further than the first.
bool has_blobs(const std::string& path) {
  std::error_code ignored;
  for (auto it = files::recursive_directory_iterator(path + "/blobs", ignored);
       !ignored && it != files::end(it); it.increment(ignored)) {
    if (it->is_regular_file(ignored)) return true;
  }
  return false;
}

Result<UniqueFd> lock_directory(const std::string& path) {
  UniqueFd lock(::open((path + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock) return failed(path, "open its lock file");
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    char owner[32] = "";
    const ssize_t length = ::pread(lock.get(), owner, sizeof owner - 1, 0);
    const std::string pid =
        length > 0 ? " (process " + std::string(owner, static_cast<std::size_t>(length)) + ")" : "";
    return refused(
        path, "another stele" + pid + " is serving it; stop that one first, or choose another with --data");
  }
  const std::string pid = std::to_string(::getpid());
  if (::ftruncate(lock.get(), 0) != 0 || ::pwrite(lock.get(), pid.data(), pid.size(), 0) < 0) {
    // Only the message of a second server would be poorer: a full disk must not keep this one from starting.
  }
  return lock;
}

}  // namespace

Result<DataDirectory> DataDirectory::open(const std::string& path, bool require_existing) {
  std::error_code failure;
  const bool exists = files::exists(path, failure);
  if (failure) return refused(path, failure.message());
  if (exists && !files::is_directory(path)) return refused(path, "is not a directory");
  // SQLite takes a catalog without a byte for a new one, and the sweep would then take every blob for an
  // orphan.
  const auto catalog_bytes = exists ? files::file_size(path + "/stele.db", failure) : 0;
  const bool has_catalog = exists && !failure && catalog_bytes > 0;
  failure.clear();
  if (require_existing && !has_catalog) {
    return refused(path,
                   "holds no catalog, and require_existing is set; is the volume mounted? Unset "
                   "require_existing to create a new registry here");
  }
  if (!exists) {
    if (!files::create_directories(path, failure) && failure)
      return refused(path, "cannot be created: " + failure.message());
    ::chmod(path.c_str(), 0700);
  } else if (!has_catalog) {
    const std::string foreign = foreign_entry(path);
    if (!foreign.empty()) {
      return refused(path, "is neither empty nor a Stele data directory (it contains \"" + foreign +
                               "\"); choose another with --data");
    }
    if (has_blobs(path)) {
      return refused(path,
                     "holds blobs but no catalog (stele.db is missing or empty), which says what they are; "
                     "copy the newest snapshot from " +
                         path + "/backups to " + path +
                         "/stele.db, or move the directory away to begin anew");
    }
  }
  auto lock = lock_directory(path);
  if (!lock) return lock.error();
  return DataDirectory(path, std::move(*lock));
}

}  // namespace stele
