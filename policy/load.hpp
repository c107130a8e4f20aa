#pragma once
// policy.yaml: text in, rules or problems out.

#include <memory>
#include <string_view>

#include "config/config_problem.hpp"
#include "policy/rules.hpp"

namespace stele::policy {

struct Loaded {
  std::shared_ptr<const Policy> policy;  // null when there are problems
  ConfigProblems problems;               // the policy cannot come into force
  ConfigProblems warnings;               // it can, but does not do what somebody may think
};

// Any bytes are taken. `file`: its name in the messages. A section that is absent keeps its default. Sections
// and keys whose enforcement this version does not have are problems: a rule that is not enforced is worse
// than none (I8).
Loaded load_policy(std::string_view text, std::string_view file);

}  // namespace stele::policy
