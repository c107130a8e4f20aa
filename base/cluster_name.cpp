#include "base/cluster_name.hpp"

#include <algorithm>

#include "base/printable.hpp"

namespace stele {

Result<ClusterName> ClusterName::parse(std::string_view text) {
  const auto alphanumeric = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  const auto allowed = [&](char c) { return alphanumeric(c) || c == '-' || c == '.'; };
  if (text.empty() || text.size() > max_bytes || !alphanumeric(text.front()) ||
      !std::all_of(text.begin(), text.end(), allowed)) {
    return Error(Errc::parameter_invalid, "cluster name " + in_quotes(text, 80) +
                                              " is not valid; use 1 to 63 lower-case letters, digits, - and "
                                              "., beginning with a letter or digit");
  }
  return ClusterName(std::string(text));
}

}  // namespace stele
