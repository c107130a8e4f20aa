#include "auth/htpasswd_file.hpp"

#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <fstream>
#include <utility>

namespace stele::auth {

HtpasswdFile::Signature HtpasswdFile::look() const {
  struct stat info{};
  if (::stat(path_.c_str(), &info) != 0) return {};
  return {info.st_dev, info.st_ino, info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
}

bool HtpasswdFile::is_settled(const Signature& signature) {
  // Kernels stamp files with the time of their last tick, and some file systems keep two seconds.
  constexpr std::int64_t grain_seconds = 2;
  const std::int64_t age = std::time(nullptr) - signature.modified_seconds;
  return age > grain_seconds || age < -grain_seconds;
}

Result<std::string> HtpasswdFile::read() const {
  std::ifstream file(path_, std::ios::binary);
  const int why = errno;
  if (!file) return Error(Errc::unavailable, path_ + " cannot be read: " + std::strerror(why));
  std::string text;
  std::array<char, 16 * 1024> part{};
  while (text.size() <= Htpasswd::max_bytes) {
    file.read(part.data(), static_cast<std::streamsize>(part.size()));
    if (file.bad()) return Error(Errc::io, path_ + " cannot be read to its end");
    text.append(part.data(), static_cast<std::size_t>(file.gcount()));
    if (!file) return text;
  }
  return Error(Errc::parameter_invalid, path_ + " is larger than 16 MiB");
}

Result<void> HtpasswdFile::load_first() {
  auto renewed = renew();
  if (!renewed) return renewed.error();
  return {};
}

bool HtpasswdFile::is_other() const {
  const Signature now = look();
  const std::lock_guard lock(mutex_);
  return now != seen_;
}

Result<bool> HtpasswdFile::renew() {
  const std::lock_guard one_reader(reading_);
  const Signature now = look();
  {
    const std::lock_guard lock(mutex_);
    if (now == seen_ && users_) {
      if (!standing_) return standing_.error();
      return false;
    }
  }
  auto text = read();
  Result<Htpasswd> parsed = Error(Errc::internal, "");
  if (text) {
    parsed = Htpasswd::parse(*text, path_);
  } else {
    parsed = text.error();
  }
  const std::lock_guard lock(mutex_);
  // Not remembered, it is read again at the next look: the same size and time may hide another content.
  if (is_settled(now) && look() == now) {
    seen_ = now;
  } else {
    seen_ = {};
    seen_.size = -2;
  }
  // Emptied to be written anew, as `htpasswd` does: nobody is locked out for that moment.
  if (parsed && text->empty() && users_ && !is_settled(now)) return false;
  standing_ = parsed ? Result<void>() : Result<void>(parsed.error());
  if (!parsed) return parsed.error();
  if (users_ && *text == text_) return false;
  text_ = std::move(*text);
  users_ = std::make_shared<const Htpasswd>(std::move(*parsed));
  return true;
}

std::shared_ptr<const Htpasswd> HtpasswdFile::users() const {
  const std::lock_guard lock(mutex_);
  return users_;
}

}  // namespace stele::auth
