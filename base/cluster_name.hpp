#pragma once
// The name under which a cluster reports what it runs.

#include <string>
#include <string_view>

#include "base/result.hpp"

namespace stele {

// [a-z0-9][-a-z0-9.]{0,62}: what Kubernetes would accept as a name, and what stands in a URL as it is.
class ClusterName {
 public:
  static constexpr std::size_t max_bytes = 63;
  static Result<ClusterName> parse(std::string_view text);  // parameter_invalid
  const std::string& str() const { return text_; }
  friend auto operator<=>(const ClusterName&, const ClusterName&) = default;

 private:
  explicit ClusterName(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

}  // namespace stele
