#pragma once
// What a caller may do beyond pulling and pushing. Until access rules can say it: the local socket may do
// everything for root and for the user that runs the server; over the network everything is allowed while the
// server was set up for nobody but this machine, and otherwise what pushing and pulling allow.

#include <string_view>

#include "base/principal.hpp"
#include "base/result.hpp"
#include "http/exchange.hpp"

namespace stele::auth {

enum class Right {
  pull,
  push,
  remove,
  promote,
  rollback,
  hold,
  release_hold,
  bypass_governance,
  report_in_use,
  lifecycle,
  admin,
  upkeep,
};

// As access rules will name it: "delete" for remove. upkeep (copying the catalog, sweeping) is for the local
// socket alone, whatever else is allowed.
std::string_view to_string(Right);

// Immutable; thread-safe.
class Access {
 public:
  // `open`: the server listens on loopback only and knows no identities.
  explicit Access(bool open) : open_(open) {}

  // forbidden, naming the right, `what` it was needed for ("rolling back prod/app:1.4"), and who asked.
  Result<void> require(const http::Exchange&, Right, std::string_view what) const;

 private:
  const bool open_;
};

}  // namespace stele::auth
