#include "base/random.hpp"

#include <sys/random.h>

#include <cerrno>
#include <system_error>
#include <vector>

#include "base/hex.hpp"

namespace stele {

std::string random_hex(std::size_t bytes) {
  std::vector<unsigned char> raw(bytes);
  std::size_t filled = 0;
  while (filled < raw.size()) {
    const ssize_t got = getrandom(raw.data() + filled, raw.size() - filled, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw std::system_error(errno, std::generic_category(), "getrandom");
    filled += static_cast<std::size_t>(got);
  }
  return to_hex(raw);
}

}  // namespace stele
