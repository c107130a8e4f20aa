#include "base/printable.hpp"

#include <algorithm>

namespace stele {
namespace {

// The length of the UTF-8 sequence at the start of `text`; 0 when it is none (overlong, surrogate, cut
// short).
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  const bool overlong = (first == 0xe0 && byte(1) < 0xa0) || (first == 0xf0 && byte(1) < 0x90);
  const bool outside = (first == 0xed && byte(1) >= 0xa0) || (first == 0xf4 && byte(1) >= 0x90);
  return overlong || outside ? 0 : length;
}

// C0, DEL and C1: what can move a terminal's cursor or end a line of log.
bool is_control(std::string_view sequence) {
  const auto first = static_cast<unsigned char>(sequence[0]);
  if (sequence.size() == 1) return first < 0x20 || first == 0x7f;
  return sequence.size() == 2 && first == 0xc2 && static_cast<unsigned char>(sequence[1]) < 0xa0;
}

}  // namespace

std::string printable(std::string_view text, std::size_t limit) {
  std::string out;
  while (!text.empty()) {
    if (out.size() >= limit) return out + "…";
    const std::size_t length = utf8_length(text);
    const std::string_view sequence = text.substr(0, std::max<std::size_t>(length, 1));
    const bool unsafe = length == 0 || is_control(sequence) || sequence == "\"";
    out += unsafe ? "?" : sequence;
    text.remove_prefix(sequence.size());
  }
  return out;
}

std::string in_quotes(std::string_view text, std::size_t limit) {
  return '"' + printable(text, limit) + '"';
}

std::size_t find_unprintable(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = utf8_length(text.substr(i));
    if (length == 0) return i;
    const std::string_view sequence = text.substr(i, length);
    const bool layout = sequence == "\t" || sequence == "\n" || sequence == "\r";
    if (is_control(sequence) && !layout) return i;
    i += length;
  }
  return std::string_view::npos;
}

bool is_printable_line(std::string_view text) {
  return find_unprintable(text) == std::string_view::npos &&
         text.find_first_of("\t\r\n") == std::string_view::npos;
}

}  // namespace stele
