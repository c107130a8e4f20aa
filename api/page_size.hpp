#pragma once
// How many entries of a list a request asks for.

#include <cstdint>
#include <optional>

#include "base/result.hpp"
#include "http/uri.hpp"

namespace stele::api {

// `n` of the query, at most `most`, whatever it says; nothing when there is none. parameter_invalid for
// anything but a number.
Result<std::optional<std::int64_t>> entries_asked(const http::QueryParameters& query, std::int64_t most);

}  // namespace stele::api
