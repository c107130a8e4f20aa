#pragma once
// The users of an htpasswd file: one `name:hash` a line, empty lines and lines that begin with # aside. A
// file with one bad line is a bad file: nothing of it holds.

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "auth/password_hash.hpp"
#include "base/result.hpp"

namespace stele::auth {

// Immutable; thread-safe.
class Htpasswd {
 public:
  static constexpr std::size_t max_bytes = 16 * 1024 * 1024;

  // `file` is for messages: "FILE:LINE: …".
  static Result<Htpasswd> parse(std::string_view text, const std::string& file);

  // Null when there is no such user. Names differ by case.
  const PasswordHash* find(const std::string& user) const;

  // Whether the name, which is in small letters, stands here in any letters. Reads all of them.
  bool has_in_any_letters(std::string_view name) const;

  // A hash to spend time on for a user that does not exist: always the same one for a name (`seed` is made of
  // it and of something secret), so that it costs what a user of this file costs.
  const PasswordHash& decoy(std::size_t seed) const;

  std::size_t size() const { return users_.size(); }

 private:
  Htpasswd();
  PasswordHash for_nobody_;
  std::unordered_map<std::string, PasswordHash> users_;
  std::vector<const PasswordHash*> hashes_;  // of users_, whose elements stay where they are
};

}  // namespace stele::auth
