#pragma once
// What a password that was tried is remembered as: HMAC-SHA-256 under a key that this process makes for
// itself and never writes down (RFC 2104), so that memory that leaks tells no password to whoever guesses.

#include <string>
#include <string_view>

namespace stele::auth {

// Thread-safe.
class KeyedHash {
 public:
  KeyedHash();  // std::runtime_error: no random numbers can be had

  // 32 bytes. Of two texts, of which the first has no NUL.
  std::string of(std::string_view first, std::string_view second) const;

 private:
  const std::string key_;
};

}  // namespace stele::auth
