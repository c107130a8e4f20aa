#pragma once
// The section access_rules of a policy: who may do what where. Pure functions of the rules, the identity, the
// right and the repository: no clock, no I/O. Deny beats allow, and what no rule speaks of is denied.
//
// An `anonymous` that is allowed something stands for everybody, since nobody loses a right by saying who he
// is; one that is denied something stands for those who did not say.

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/identity.hpp"
#include "policy/right.hpp"
#include "policy/who.hpp"

namespace stele::policy {

struct AccessRule {
  std::string name;  // perhaps empty
  int line = 0;      // of the file
  std::vector<Who> who;
  std::vector<std::string> repositories;
  Rights allow;
  Rights deny;

  // "rule releasers (line 7)", or "rule 3 (line 7)" for the third, which has no name.
  std::string shown(std::size_t index) const;
  // Whether it speaks of the whole server, and not of some repositories: "**" and no exclusion.
  bool is_of_the_server() const;
};

// One rule as JSON, one line, in a form that does not depend on how it was written: the members name, who,
// repositories, allow, deny, with rights in the order of the enumeration and without what is empty.
std::string canonical_json(const AccessRule&);

struct AccessDecision {
  enum class Outcome { allowed, denied, unmatched };
  Outcome outcome = Outcome::unmatched;
  std::size_t rule = 0;                 // its index, unless unmatched
  const Who* who = nullptr;             // which entry speaks of the caller; lives as long as the rules
  std::string_view repository_pattern;  // through which pattern; empty for the server
  bool allowed() const { return outcome == Outcome::allowed; }
};

// A rule that speaks of it almost, and what keeps it from deciding.
struct AccessNearMiss {
  std::size_t rule;
  std::string why;
};

// Immutable; thread-safe.
class AccessRules {
 public:
  // Patterns are taken as checked; a bad one throws std::invalid_argument.
  explicit AccessRules(std::vector<AccessRule> rules);
  ~AccessRules();

  // `repository` empty: the whole server, for which only rules count whose repositories are "**".
  AccessDecision decide(const Identity&, Right, std::string_view repository) const;

  // Whether there can be a repository for which decide() allows it, or it does for the server. A "no" is
  // certain.
  bool perhaps_somewhere(const Identity&, Right) const;

  // For deciding about many repositories: the rules that speak of this caller and any of these rights are
  // found once. The rules outlive it.
  class Sight;
  Sight sight_of(const Identity&, Rights any_of) const;

  // For people: in the order of the rules, at most `most`.
  std::vector<AccessNearMiss> near_misses(const Identity&, Right, std::string_view repository,
                                          std::size_t most = 5) const;

  const std::vector<AccessRule>& rules() const { return rules_; }

 private:
  struct Index;
  const std::vector<AccessRule> rules_;
  std::unique_ptr<const Index> index_;
};

class AccessRules::Sight {
 public:
  // Whether the caller has any of the rights there.
  bool has(std::string_view repository) const;
  // It has them in every repository.
  bool everywhere() const;

 private:
  friend class AccessRules;
  struct OfOneRight {
    std::vector<std::size_t> allow;  // rules, by index
    std::vector<std::size_t> deny;
  };
  const AccessRules* rules_ = nullptr;
  std::vector<OfOneRight> rights_;
};

}  // namespace stele::policy
