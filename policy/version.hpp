#pragma once
// Versions and their precedence: Semantic Versioning 2.0.0, section 11, with or without a leading "v" and
// with one to four numbers; build metadata is ignored. Its "+" may be written "_", as in tags.

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace stele::policy {

// Its parts are views into the text it was read from.
struct Version {
  std::uint64_t numbers[4] = {0, 0, 0, 0};
  std::size_t written = 0;  // how many of them the text has
  std::vector<std::string_view> pre_release;
};

// Nothing when the text is not a version.
std::optional<Version> parse_version(std::string_view text);

// Whether a tag says which version exactly: 1.4.2 and 1.4.2-rc.1, not 1.4.
bool is_full_version(std::string_view tag);

// Negative: a is older.
int compare(const Version& a, const Version& b);

}  // namespace stele::policy
