#include "registry/reference_rules.hpp"

namespace stele {

Result<ReferenceRules> ReferenceRules::compile(const std::vector<Rule>& rules) {
  ReferenceRules compiled;
  for (const Rule& rule : rules) {
    auto patterns = policy::PatternList::compile(rule.repositories);
    if (!patterns) return patterns.error();
    compiled.rules_.push_back(Compiled{std::move(*patterns), rule.mode});
  }
  return compiled;
}

ReferenceMode ReferenceRules::mode(const RepositoryName& repository) const {
  for (const Compiled& rule : rules_) {
    if (rule.repositories.matches(repository.str())) return rule.mode;
  }
  return ReferenceMode::strict;
}

}  // namespace stele
