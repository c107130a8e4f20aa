#include "http/range.hpp"

#include <algorithm>
#include <charconv>

#include "base/printable.hpp"
#include "base/text.hpp"

namespace stele::http {
namespace {

// A non-empty run of digits; values past 2^64 count as the largest.
std::optional<std::uint64_t> parse_number(std::string_view digits) {
  if (digits.empty()) return std::nullopt;
  for (const char c : digits) {
    if (c < '0' || c > '9') return std::nullopt;
  }
  std::uint64_t value = 0;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return result.ec == std::errc() ? value : UINT64_MAX;
}

Error unsatisfiable(std::uint64_t size, const char* why) {
  return Error(Errc::range_unsatisfiable, std::string("the requested range ") + why + "; the content has " +
                                              std::to_string(size) + " bytes");
}

constexpr std::uint64_t part_head_bytes = 128;  // of multipart/byteranges, about

// Ascending. `gap`: 1 takes those for one, too, that touch.
std::vector<ByteRange> merged(const std::vector<ByteRange>& ranges, std::uint64_t gap) {
  std::vector<ByteRange> sorted = ranges;
  std::sort(sorted.begin(), sorted.end(),
            [](const ByteRange& a, const ByteRange& b) { return a.first < b.first; });
  std::vector<ByteRange> result;
  for (const ByteRange& range : sorted) {
    if (!result.empty() && range.first <= result.back().last + gap) {
      result.back().last = std::max(result.back().last, range.last);
    } else {
      result.push_back(range);
    }
  }
  return result;
}

// Overlapping ranges that add up to more than the content would cost more than their answer is worth (I10).
// Ranges that do not overlap stay as asked, those too that touch: podman's partial pulls want as many parts
// as they asked for, or fetch everything. Only where the heads of the parts would make the answer larger than
// the content those that touch become one.
void merge(std::vector<ByteRange>& ranges, std::uint64_t size) {
  std::vector<ByteRange> apart = merged(ranges, 0);
  if (apart.size() != ranges.size()) ranges = apart;
  std::uint64_t answer = apart.size() * part_head_bytes;
  for (const ByteRange& range : apart) answer += range.last - range.first + 1;
  if (apart.size() == 1 || answer <= size) return;
  std::vector<ByteRange> joined = merged(ranges, 1);
  if (joined.size() != ranges.size()) ranges = std::move(joined);
}

}  // namespace

Result<std::vector<ByteRange>> parse_range(std::string_view header, std::uint64_t size) {
  std::vector<ByteRange> ranges;
  const std::string_view prefix = "bytes=";
  if (!header.starts_with(prefix)) return ranges;
  header.remove_prefix(prefix.size());
  std::size_t asked = 0;
  bool reversed = false;
  for (;;) {
    const std::size_t comma = header.find(',');
    const std::string_view spec = trimmed(header.substr(0, comma));
    if (!spec.empty()) {
      const std::size_t dash = spec.find('-');
      if (dash == std::string_view::npos) return std::vector<ByteRange>();
      const auto first = parse_number(spec.substr(0, dash));
      const auto last = parse_number(spec.substr(dash + 1));
      if ((dash != 0 && !first) || (dash + 1 != spec.size() && !last) || (!first && !last)) {
        return std::vector<ByteRange>();
      }
      if (++asked > max_ranges) return std::vector<ByteRange>();
      if (first && last && *first > *last) {
        reversed = true;
      } else if (first && *first < size) {
        ranges.push_back({*first, std::min(last.value_or(UINT64_MAX), size - 1)});
      } else if (!first && *last > 0 && size > 0) {
        ranges.push_back({size - std::min(*last, size), size - 1});
      }
    }
    if (comma == std::string_view::npos) break;
    header.remove_prefix(comma + 1);
  }
  if (asked == 0 || size == 0) return std::vector<ByteRange>();
  if (reversed) return unsatisfiable(size, "ends before it begins");
  if (ranges.empty()) return unsatisfiable(size, "lies behind the end");
  merge(ranges, size);
  return ranges;
}

Result<ByteRange> parse_content_range(std::string_view header) {
  const auto bad = [&] {
    return Error(Errc::range_invalid, "Content-Range " + in_quotes(header, 80) +
                                          " is not of the form <first>-<last>, both inclusive");
  };
  std::string_view text = trimmed(header);
  if (text.starts_with("bytes ") || text.starts_with("bytes=")) text = trimmed(text.substr(6));
  text = trimmed(text.substr(0, text.find('/')));
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos) return bad();
  const auto first = parse_number(text.substr(0, dash));
  const auto last = parse_number(text.substr(dash + 1));
  if (!first || !last || *first > *last || *last >= INT64_MAX) return bad();
  return ByteRange{*first, *last};
}

std::string content_range(const ByteRange& range, std::uint64_t size) {
  return "bytes " + std::to_string(range.first) + '-' + std::to_string(range.last) + '/' +
         std::to_string(size);
}

}  // namespace stele::http
