#include "base/directory.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/unique_fd.hpp"

namespace stele {

Result<void> sync_directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd && ::fsync(fd.get()) == 0) return {};
  const int reason = errno;
  return Error(reason == ENOSPC || reason == EDQUOT ? Errc::no_space : Errc::io,
               "syncing the directory " + directory + " failed: " + std::strerror(reason));
}

}  // namespace stele
