#pragma once
// Parts of texts.

#include <string_view>

namespace stele {

// `text` without the blanks around it; without an argument those are HTTP's optional white space (RFC
// 9110, 5.6.3).
std::string_view trimmed(std::string_view text, std::string_view blanks = " \t");

// Takes the last of the parts that slashes divide off `path`, and the slash before it.
std::string_view take_last_segment(std::string_view& path);

}  // namespace stele
