#pragma once
// What a robot is limited to, whatever rules give it: "team/**:pull,push" is a pattern for repositories and
// the rights that are left there; "*" stands for every right that a rule can give.

#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "policy/access_rules.hpp"

namespace stele::policy {

inline constexpr std::size_t most_limits = 100;
inline constexpr std::size_t longest_limit = 500;  // bytes

// Rules that give to whoever is known what is left, and nothing else. The last colon ends the pattern.
// parameter_invalid, naming what cannot be read; for an empty list, too.
Result<std::shared_ptr<const AccessRules>> read_limits(const std::vector<std::string>& limits);

}  // namespace stele::policy
