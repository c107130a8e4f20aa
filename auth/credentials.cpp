#include "auth/credentials.hpp"

#include <algorithm>
#include <optional>

#include "auth/base64.hpp"

namespace stele::auth {
namespace {

Error unreadable(const char* why) {
  return Error(Errc::unauthorized, std::string("the header Authorization cannot be read: ") + why);
}

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7F;
  });
}

Result<Credentials> parse_basic(std::string_view encoded) {
  auto text = base64_decode(encoded);
  if (!text) return unreadable("what stands behind Basic is not base 64");
  const std::size_t colon = text->find(':');
  if (colon == std::string::npos) return unreadable("there is no colon between the name and the password");
  // RFC 7617, section 2: control characters are in neither. NUL would end a password early.
  if (has_control(*text)) return unreadable("there is a control character in the name or the password");
  Credentials credentials;
  credentials.scheme = Credentials::Scheme::basic;
  credentials.user = text->substr(0, colon);
  credentials.secret = text->substr(colon + 1);
  return credentials;
}

}  // namespace

Result<Credentials> parse_authorization(std::string_view value) {
  const std::size_t space = value.find(' ');
  const std::string_view scheme = value.substr(0, space);
  std::string_view rest = space == std::string_view::npos ? std::string_view() : value.substr(space);
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  if (http::equals_ignoring_case(scheme, "Basic")) return parse_basic(rest);
  if (!http::equals_ignoring_case(scheme, "Bearer"))
    return unreadable("its scheme is neither Basic nor Bearer");
  if (rest.empty() || rest.find(' ') != std::string_view::npos)
    return unreadable("there is no token behind Bearer");
  Credentials credentials;
  credentials.scheme = Credentials::Scheme::bearer;
  credentials.secret = std::string(rest);
  return credentials;
}

Result<Credentials> presented_credentials(const http::RequestHead& request) {
  std::optional<std::string_view> value;
  for (const http::Field& field : request.fields) {
    if (!http::equals_ignoring_case(field.name, "Authorization")) continue;
    // A proxy may have looked at the other one.
    if (value) return unreadable("it stands there twice");
    value = field.value;
  }
  if (!value) return Credentials();
  return parse_authorization(*value);
}

}  // namespace stele::auth
