#include "auth/user_name.hpp"

#include <algorithm>

#include "base/printable.hpp"
#include "base/text.hpp"

namespace stele::auth {
namespace {

bool is_name(std::string_view text) {
  const auto alphanumeric = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  const auto allowed = [&](char c) {
    return alphanumeric(c) || c == '-' || c == '.' || c == '_' || c == '@';
  };
  return !text.empty() && text.size() <= UserName::max_bytes && alphanumeric(text.front()) &&
         std::all_of(text.begin(), text.end(), allowed);
}

Error not_a_name(const char* what, std::string_view text) {
  return Error(Errc::parameter_invalid, std::string(what) + " name " + in_quotes(text, 80) +
                                            " is not valid; use 1 to 63 lower-case letters, digits, -, ., _ "
                                            "and @, beginning with a letter or digit");
}

}  // namespace

Result<UserName> UserName::parse(std::string_view text) {
  if (!is_name(text)) return not_a_name("user", text);
  return UserName(std::string(text));
}

Result<UserName> UserName::parse_typed(std::string_view text) {
  return parse(lower_case(text.substr(0, max_bytes + 1)));
}

Result<GroupName> GroupName::parse(std::string_view text) {
  if (!is_name(text)) return not_a_name("group", text);
  return GroupName(std::string(text));
}

}  // namespace stele::auth
