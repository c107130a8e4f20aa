#pragma once
// What a robot or an api token of a user is limited to: scopes (policy/limits.hpp) as the catalog keeps them,
// one per line.

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.hpp"
#include "policy/access_rules.hpp"

namespace stele::auth {

std::vector<std::string> scopes_of_lines(const std::string& lines);
std::string joined_scopes(const std::vector<std::string>& scopes, std::string_view between);

// Remembers what was compiled: patterns cost more to compile than a request may. Thread-safe.
class ScopeLimits {
 public:
  // corrupt: the catalog's cannot be read.
  Result<std::shared_ptr<const policy::AccessRules>> of(const std::string& lines) const;

 private:
  mutable std::mutex mutex_;
  mutable std::unordered_map<std::string, std::shared_ptr<const policy::AccessRules>> compiled_;
};

}  // namespace stele::auth
