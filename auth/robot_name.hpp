#pragma once
// The name of a robot, under which it logs in and by which rules know it as robot:NAME.

#include <string>
#include <string_view>

#include "base/result.hpp"

namespace stele::auth {

// [a-z0-9][-a-z0-9._]{0,62}: the same in a URL, in a user name and in a rule.
class RobotName {
 public:
  static constexpr std::size_t max_bytes = 63;
  static Result<RobotName> parse(std::string_view text);  // parameter_invalid
  const std::string& str() const { return text_; }
  std::string principal() const { return "robot:" + text_; }
  friend auto operator<=>(const RobotName&, const RobotName&) = default;

 private:
  explicit RobotName(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

}  // namespace stele::auth
