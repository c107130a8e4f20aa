#pragma once
// What a stranger sent, inside a message of ours.

#include <cstddef>
#include <string>
#include <string_view>

namespace stele {

// `text`, cut after about `limit` bytes and then ended by "…". Control characters, double quotes and what is
// not UTF-8 become "?": no message can forge a line of a log or a terminal's sequence.
std::string printable(std::string_view text, std::size_t limit = 160);

// The same between double quotes.
std::string in_quotes(std::string_view text, std::size_t limit = 160);

// The offset of the first byte that is not UTF-8 (RFC 3629) or a control character other than tab, line feed
// and carriage return; npos when there is none.
std::size_t find_unprintable(std::string_view text);

// Whether it is one line of printable text: the above, without the three.
bool is_printable_line(std::string_view text);

}  // namespace stele
