#pragma once
// JSON as a registry may accept it (RFC 8259, with I-JSON's rule on names): one value, UTF-8, no duplicate
// keys, bounded depth.

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace stele {

inline constexpr int max_json_depth = 64;

// `what` begins the message ("manifest"); the error is manifest_invalid and says where the text is wrong.
Result<nlohmann::json> parse_strict_json(std::string_view text, std::string_view what);

// A text member of an object; empty when there is none, or something else under that name.
std::string text_of(const nlohmann::json& object, std::string_view name);

}  // namespace stele
