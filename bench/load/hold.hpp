#pragma once
// Many large transfers in flight at once, for as long as somebody looks at the server's memory.

#include <string>

#include "bench/load/client.hpp"

namespace stele::load {

struct HoldOptions {
  Target target;
  std::string path;        // of a large blob to download; empty: uploads
  std::string repository;  // that takes the uploads, none of which is finished
  unsigned transfers = 64;
  std::uint64_t bytes = 0;  // of each transfer
  double seconds = 4;
};

// Returns the report as JSON: bytes moved, and "in_flight", how many transfers were still going on at the
// end.
std::string hold(const HoldOptions&);

}  // namespace stele::load
