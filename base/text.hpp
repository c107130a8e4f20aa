#pragma once
// Parts of texts.

#include <string>
#include <string_view>

namespace stele {

// `text` without the blanks around it; without an argument those are HTTP's optional white space (RFC
// 9110, 5.6.3).
std::string_view trimmed(std::string_view text, std::string_view blanks = " \t");

// With small letters for capital ones, of ASCII alone: in names of hosts, users and types no others count.
std::string lower_case(std::string_view text);

// Takes the last of the parts that slashes divide off `path`, and the slash before it.
std::string_view take_last_segment(std::string_view& path);

}  // namespace stele
