#pragma once
// Internal to policy/import/: values as policy.yaml writes them.

#include <string>
#include <vector>

#include "policy/lifecycle_rules.hpp"

namespace stele::policy {

// [a, "b*"]
std::string list_of(const std::vector<std::string>& patterns);

// The section lifecycle_rules; empty when there are none.
std::string written(const std::vector<LifecycleRule>&);

}  // namespace stele::policy
