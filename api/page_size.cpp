#include "api/page_size.hpp"

#include <algorithm>
#include <charconv>

#include "base/printable.hpp"

namespace stele::api {

Result<std::optional<std::int64_t>> entries_asked(const http::QueryParameters& query, std::int64_t most) {
  const auto text = query.first("n");
  if (!text) return std::optional<std::int64_t>();
  const bool digits =
      !text->empty() && std::all_of(text->begin(), text->end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!digits)
    return Error(Errc::parameter_invalid, "n=" + printable(*text, 40) + " is not a number of entries");
  std::int64_t value = 0;
  const auto parsed = std::from_chars(text->data(), text->data() + text->size(), value);
  if (parsed.ec != std::errc() || value > most) value = most;
  return std::optional<std::int64_t>(value);
}

}  // namespace stele::api
