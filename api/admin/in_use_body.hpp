#pragma once
// Internal to api/admin/: the body of a report of what a cluster runs. Too large for json.hpp's reading: its
// texts are taken out of it one by one, without a tree of it in memory.

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace stele::api {

struct InUseBody {
  std::vector<std::string> images;
  std::string lease;  // as written; empty: none is given
  bool allow_empty = false;
};

inline constexpr std::uint64_t largest_in_use_body = 64ULL * 1024 * 1024;

// {"lease": "24h", "images": ["…"], "allow_empty": false}, images compulsory. parameter_invalid for anything
// else, more images than `most` included.
Result<InUseBody> parse_in_use_body(std::string_view text, std::size_t most);

}  // namespace stele::api
