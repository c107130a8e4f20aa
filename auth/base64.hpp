#pragma once
// Base 64 (RFC 4648): the plain alphabet of section 4 and the one for URLs of section 5.

#include <optional>
#include <string>
#include <string_view>

namespace stele::auth {

// With padding. Without a value: a foreign character, padding that does not fit, or bits that are lost.
std::optional<std::string> base64_decode(std::string_view text);

// Without padding, as tokens are written (RFC 7515, section 2).
std::string base64url_encode(std::string_view bytes);
std::optional<std::string> base64url_decode(std::string_view text);

// Without padding and with "." for "+", as passlib writes salts and PBKDF2's keys.
std::optional<std::string> base64_dotted_decode(std::string_view text);

}  // namespace stele::auth
