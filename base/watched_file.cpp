#include "base/watched_file.hpp"

#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <fstream>

namespace stele {

FileSignature FileSignature::of(const std::string& path) {
  struct stat info{};
  if (path.empty() || ::stat(path.c_str(), &info) != 0) return {};
  return {info.st_dev, info.st_ino, info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
}

bool FileSignature::is_settled() const {
  // Kernels stamp files with the time of their last tick, and some file systems keep two seconds.
  constexpr std::int64_t grain_seconds = 2;
  const std::int64_t age = std::time(nullptr) - modified_seconds;
  return age > grain_seconds || age < -grain_seconds;
}

Result<std::string> read_whole_file(const std::string& path, std::size_t most) {
  std::ifstream file(path, std::ios::binary);
  const int why = errno;
  if (!file) return Error(Errc::unavailable, path + " cannot be read: " + std::strerror(why));
  std::string text;
  std::array<char, 16 * 1024> part{};
  while (text.size() <= most) {
    file.read(part.data(), static_cast<std::streamsize>(part.size()));
    if (file.bad()) return Error(Errc::io, path + " cannot be read to its end");
    text.append(part.data(), static_cast<std::size_t>(file.gcount()));
    if (!file && text.size() <= most) return text;
  }
  return Error(Errc::parameter_invalid, path + " is larger than " + std::to_string(most) + " bytes");
}

}  // namespace stele
