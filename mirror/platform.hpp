#pragma once
// Which entries of an index are for the platforms that were asked for. Pure.

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.hpp"
#include "base/result.hpp"

namespace stele::mirror {

// "linux/amd64", "linux/arm/v7". parameter_invalid with an example when it is something else.
Result<void> check_platform(std::string_view text);

// Remembers over several indexes which platforms were found.
class PlatformChoice {
 public:
  // As check_platform() lets them pass; none: everything is chosen.
  explicit PlatformChoice(std::vector<std::string> wanted) : wanted_(std::move(wanted)) {}

  // `index`: its JSON. Chosen is an entry for one of the platforms, of any variant where none was asked for,
  // and an entry that says no platform, as an index in an index. Not what buildkit lists as unknown/unknown.
  std::function<bool(const Digest&)> choose(const std::string& index);

  // The platforms that no index had, once at least one index was seen: an image that is no index is whatever
  // it is.
  std::vector<std::string> unmatched() const;
  // Those that they had, for a message: "linux/amd64, linux/s390x".
  std::string others() const;

 private:
  const std::vector<std::string> wanted_;
  bool seen_ = false;
  std::set<std::string> matched_;
  std::set<std::string> offered_;
};

}  // namespace stele::mirror
