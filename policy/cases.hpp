#pragma once
// A policy's own tests: a table of what it must say, kept beside it and reviewed with it.

#include <string>
#include <string_view>
#include <vector>

#include "config/config_problem.hpp"
#include "policy/rules.hpp"

namespace stele::policy {

struct CaseResult {
  TextPosition at;    // in the table
  std::string what;   // "tag prod/app:1.4.2"
  std::string wrong;  // empty: as expected
};

struct CaseTable {
  std::vector<CaseResult> results;
  ConfigProblems problems;  // of the table itself; then there are no results
};

// Holds the cases of `text` (YAML, docs/policy.md "Testing a policy") against the policy. Any bytes are
// taken.
CaseTable run_cases(std::string_view text, std::string_view file, const Policy&);

}  // namespace stele::policy
