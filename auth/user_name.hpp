#pragma once
// The name of a local user, under which he logs in and by which rules know him as user:NAME, and of a group
// of local users (group:NAME).

#include <string>
#include <string_view>

#include "base/result.hpp"

namespace stele::auth {

// [a-z0-9][-a-z0-9._@]{0,62}: the same in a URL, at a login and in a rule.
class UserName {
 public:
  static constexpr std::size_t max_bytes = 63;
  static Result<UserName> parse(std::string_view text);  // parameter_invalid
  // As somebody types it: capital letters are small ones, so that no name can be mistaken for another.
  static Result<UserName> parse_typed(std::string_view text);
  const std::string& str() const { return text_; }
  std::string principal() const { return "user:" + text_; }
  friend auto operator<=>(const UserName&, const UserName&) = default;

 private:
  explicit UserName(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

// The same characters.
class GroupName {
 public:
  static Result<GroupName> parse(std::string_view text);  // parameter_invalid
  const std::string& str() const { return text_; }
  friend auto operator<=>(const GroupName&, const GroupName&) = default;

 private:
  explicit GroupName(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

}  // namespace stele::auth
