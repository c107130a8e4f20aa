#include "auth/robot_name.hpp"

#include <algorithm>

#include "base/printable.hpp"

namespace stele::auth {

Result<RobotName> RobotName::parse(std::string_view text) {
  const auto alphanumeric = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  const auto allowed = [&](char c) { return alphanumeric(c) || c == '-' || c == '.' || c == '_'; };
  if (text.empty() || text.size() > max_bytes || !alphanumeric(text.front()) ||
      !std::all_of(text.begin(), text.end(), allowed)) {
    return Error(Errc::parameter_invalid, "robot name " + in_quotes(text, 80) +
                                              " is not valid; use 1 to 63 lower-case letters, digits, -, . "
                                              "and _, beginning with a letter or digit");
  }
  return RobotName(std::string(text));
}

}  // namespace stele::auth
