#include "base/hex.hpp"

#include <algorithm>
#include <boost/algorithm/hex.hpp>
#include <iterator>

namespace stele {

std::string to_hex(std::span<const unsigned char> bytes) {
  std::string text;
  text.reserve(2 * bytes.size());
  boost::algorithm::hex_lower(bytes.begin(), bytes.end(), std::back_inserter(text));
  return text;
}

void append_hex(std::string& text, unsigned char byte) {
  boost::algorithm::hex_lower(&byte, std::next(&byte), std::back_inserter(text));
}

std::optional<std::vector<unsigned char>> from_hex(std::string_view text) {
  // Boost reads upper-case digits too, so that one value would have two spellings.
  const bool lower = std::all_of(text.begin(), text.end(),
                                 [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  if (!lower || text.size() % 2 != 0) return std::nullopt;
  std::vector<unsigned char> bytes;
  bytes.reserve(text.size() / 2);
  boost::algorithm::unhex(text.begin(), text.end(), std::back_inserter(bytes));
  return bytes;
}

}  // namespace stele
