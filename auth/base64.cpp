#include "auth/base64.hpp"

#include <cstdint>

namespace stele::auth {
namespace {

// The value of a character in the alphabet whose last two are `tail`; -1: none of it.
int value_of(char c, std::string_view tail) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == tail[0]) return 62;
  return c == tail[1] ? 63 : -1;
}

std::optional<std::string> decode(std::string_view text, std::string_view tail) {
  if (text.size() % 4 == 1) return std::nullopt;
  std::string bytes;
  bytes.reserve(text.size() * 3 / 4);
  std::uint32_t bits = 0;
  unsigned pending = 0;
  for (const char c : text) {
    const int value = value_of(c, tail);
    if (value < 0) return std::nullopt;
    bits = (bits << 6U | static_cast<std::uint32_t>(value)) & 0xFFFFU;
    pending += 6;
    if (pending < 8) continue;
    pending -= 8;
    bytes += static_cast<char>(bits >> pending & 0xFFU);
  }
  // One value has one text: what is left over must be zero.
  if ((bits & ((1U << pending) - 1)) != 0) return std::nullopt;
  return bytes;
}

}  // namespace

std::optional<std::string> base64_decode(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  if (text.ends_with("==")) {
    text.remove_suffix(2);
  } else if (text.ends_with('=')) {
    text.remove_suffix(1);
  }
  return decode(text, "+/");
}

std::optional<std::string> base64url_decode(std::string_view text) {
  return decode(text, "-_");
}

std::optional<std::string> base64_dotted_decode(std::string_view text) {
  return decode(text, "./");
}

std::string base64url_encode(std::string_view bytes) {
  constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string text;
  text.reserve(bytes.size() * 4 / 3 + 3);
  std::uint32_t bits = 0;
  unsigned pending = 0;
  for (const char c : bytes) {
    bits = (bits << 8U | static_cast<unsigned char>(c)) & 0xFFFFU;
    pending += 8;
    while (pending >= 6) {
      pending -= 6;
      text += alphabet[bits >> pending & 63U];
    }
  }
  if (pending > 0) text += alphabet[bits << (6 - pending) & 63U];
  return text;
}

}  // namespace stele::auth
