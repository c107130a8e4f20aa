#pragma once
// One stored password: yescrypt, bcrypt, SHA-512 crypt (all by libxcrypt) or PBKDF2 (by OpenSSL, for sites
// that may use nothing else). docs/authentication.md says how each is written and made.

#include <string>
#include <string_view>

#include "base/result.hpp"

namespace stele::auth {

// Immutable; thread-safe.
class PasswordHash {
 public:
  // The most that is accepted as a password; crypt(3) takes no more.
  static constexpr std::size_t max_password = 512;

  // parameter_invalid, with what to do instead; the message does not quote `text`, which is a secret.
  static Result<PasswordHash> parse(std::string_view text);

  // Of a new password, with a salt of its own: yescrypt, the strongest that libxcrypt has, with 32 MiB of
  // memory, which takes about 70 ms of a processor of 2023. Never on an I/O thread. parameter_invalid: it is
  // empty, longer than max_password or has a NUL; internal: there are no random numbers.
  static Result<PasswordHash> make(const std::string& password);

  // Takes as long as the hash says, up to seconds: never on an I/O thread. `password` has no NUL.
  bool matches(const std::string& password) const;

  const std::string& text() const { return text_; }
  // 16 bytes that are others when the password or its salt are. Made once, since each request asks for them.
  const std::string& fingerprint() const { return fingerprint_; }

 private:
  enum class Kind { crypt, pbkdf2_sha256, pbkdf2_sha512 };
  PasswordHash(Kind kind, std::string text);
  static Result<PasswordHash> parse_yescrypt(std::string_view text);
  static Result<PasswordHash> parse_bcrypt(std::string_view text);
  static Result<PasswordHash> parse_sha512(std::string_view text);
  static Result<PasswordHash> parse_pbkdf2(std::string_view text);
  bool matches_crypt(const std::string& password) const;
  bool matches_pbkdf2(const std::string& password) const;

  Kind kind_;
  std::string text_;
  std::string fingerprint_;
  // Of PBKDF2.
  int rounds_ = 0;
  std::string salt_ = {};
  std::string key_ = {};
};

}  // namespace stele::auth
