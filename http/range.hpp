#pragma once
// Range and Content-Range (RFC 9110, 14), the latter also in the distribution specification's form
// `<first>-<last>`.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace stele::http {

// Both ends inclusive; last < size of what it was parsed for.
struct ByteRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::uint64_t length() const { return last - first + 1; }
  friend bool operator==(const ByteRange&, const ByteRange&) = default;
};

inline constexpr std::size_t max_ranges = 1024;

// The satisfiable ranges of a `bytes=` header for content of `size` bytes, ends clipped, in the order asked;
// where some of them overlap, or their answer would be larger than the content: merged and ascending.
// Together never longer than the content. An empty list: the header is to be ignored and everything sent
// (another unit, malformed, more than max_ranges, empty content; RFC 9110, 14.2). range_unsatisfiable:
// nothing asked for lies inside, or a range is reversed.
Result<std::vector<ByteRange>> parse_range(std::string_view header, std::uint64_t size);

// `<first>-<last>`, optionally with a `bytes ` in front and `/<size>` or `/*` behind. range_invalid
// otherwise.
Result<ByteRange> parse_content_range(std::string_view header);

// Of an answer: `bytes <first>-<last>/<size>`.
std::string content_range(const ByteRange&, std::uint64_t size);

}  // namespace stele::http
