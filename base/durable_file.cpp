#include "base/durable_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/unique_fd.hpp"

namespace stele {
namespace {

Error failure(const std::string& what) {
  const int reason = errno;
  return Error(reason == ENOSPC || reason == EDQUOT ? Errc::no_space : Errc::io,
               what + ": " + std::strerror(reason));
}

bool write_whole(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

}  // namespace

Result<void> sync_directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) return failure("the directory " + directory + " cannot be synced");
  return {};
}

Result<void> replace_file(const std::string& path, std::string_view text) {
  const std::string next = path + ".new";
  ::unlink(next.c_str());  // of a call that was cut off; O_EXCL follows no link that somebody put there
  const UniqueFd file(::open(next.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file || !write_whole(file.get(), text) || ::fsync(file.get()) != 0)
    return failure(next + " cannot be written");
  if (::rename(next.c_str(), path.c_str()) != 0) return failure(path + " cannot be written");
  return sync_directory_of(path);
}

}  // namespace stele
