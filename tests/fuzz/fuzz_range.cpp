// Range and Content-Range. The first line of the input is the content's size, the rest the header.

#include <charconv>
#include <string>

#include "http/range.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace {

using namespace stele;
using namespace stele::fuzz;
using namespace stele::http;

std::string written(const std::vector<ByteRange>& ranges) {
  std::string header = "bytes=";
  for (const auto& range : ranges) {
    if (header.back() != '=') header += ", ";
    header += std::to_string(range.first) + "-" + std::to_string(range.last);
  }
  return header;
}

void check_range(std::string_view header, std::uint64_t size) {
  const auto ranges = parse_range(header, size);
  if (!ranges) return check_error(ranges.error(), Errc::range_unsatisfiable);
  if (ranges->empty()) return;
  FUZZ_CHECK(ranges->size() <= max_ranges);
  unsigned __int128 total = 0;  // 64 ranges of a 2^63-byte blob do not fit into 64 bits
  for (const auto& range : *ranges) {
    FUZZ_CHECK(range.first <= range.last);
    FUZZ_CHECK(range.last < size);
    total += range.length();
  }
  FUZZ_CHECK(total <= size);  // I10
  const auto again = parse_range(written(*ranges), size);
  FUZZ_CHECK(again.has_value() && *again == *ranges);
}

void check_content_range(std::string_view header) {
  const auto range = parse_content_range(header);
  if (!range) return check_error(range.error(), Errc::range_invalid);
  FUZZ_CHECK(range->first <= range->last);
  FUZZ_CHECK(range->length() > 0);
  const std::string plain = std::to_string(range->first) + "-" + std::to_string(range->last);
  for (const std::string& form : {plain, "bytes " + plain + "/*", "bytes " + plain + "/12"}) {
    const auto again = parse_content_range(form);
    FUZZ_CHECK(again.has_value() && *again == *range);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view header = text_of(data, size);
  const std::string_view line = take_line(header);
  std::uint64_t content_size = 0;
  std::from_chars(line.data(), line.data() + line.size(), content_size);
  check_range(header, content_size);
  check_content_range(header);
  return 0;
}
