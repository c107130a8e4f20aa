#pragma once
// Bytes as lower-case hexadecimal digits.

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stele {

std::string to_hex(std::span<const unsigned char> bytes);
// Two digits behind `text`.
void append_hex(std::string& text, unsigned char byte);

// The bytes that `text` stands for; nothing when it has an odd length or anything but the digits 0-9 and a-f.
std::optional<std::vector<unsigned char>> from_hex(std::string_view text);

}  // namespace stele
