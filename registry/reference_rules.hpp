#pragma once
// Per repository: must a manifest's blobs and children be there when it is pushed?

#include <string>
#include <vector>

#include "base/reference.hpp"
#include "policy/pattern.hpp"

namespace stele {

enum class ReferenceMode {
  strict,  // yes (I2)
  sparse,  // no: partial copies, mirrors
};

// Immutable; thread-safe. The first rule whose patterns match decides; strict when none does.
class ReferenceRules {
 public:
  struct Rule {
    std::vector<std::string> repositories;
    ReferenceMode mode;
  };
  static Result<ReferenceRules> compile(const std::vector<Rule>& rules);

  ReferenceMode mode(const RepositoryName& repository) const;

 private:
  struct Compiled {
    policy::PatternList repositories;
    ReferenceMode mode;
  };
  std::vector<Compiled> rules_;
};

}  // namespace stele
