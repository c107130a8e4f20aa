#pragma once
// Sizes and durations as an operator writes them: "4MiB", "15m".

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace stele::config {

// A whole number of bytes, or with KiB, MiB or GiB. Nothing on anything else, overflow included.
std::optional<std::uint64_t> parse_size(std::string_view text);
// The shortest exact form: 4194304 is "4MiB", 4000000 stays itself.
std::string format_size(std::uint64_t bytes);
// For people, not exact: "49.9 GiB", "50 GiB", "700 bytes".
std::string size_in_words(std::uint64_t bytes);

// A whole number with s, m, h or d (24 hours), or a bare 0. Nothing on anything else, overflow included.
std::optional<std::chrono::seconds> parse_duration(std::string_view text);
// The largest exact unit, days from two on: "24h", "7d", "90s", "0".
std::string format_duration(std::chrono::seconds duration);

}  // namespace stele::config
