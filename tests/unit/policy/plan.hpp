#pragma once
// The judge's plan of a small repository, as tests ask it.

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "policy/judge.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/policy/lifecycle_text.hpp"
#include "tests/unit/policy/lifecycle_world.hpp"

namespace stele::policy {

// A plan that can be asked by names; an untagged manifest's is "@name".
class Plan {
 public:
  Plan(const World& world, const std::string& policy) : world_(world) {
    const LifecycleText read(policy);
    INFO(read.problems());
    REQUIRE(read.good());
    plan_ = judge(*read.compiled(), world.snapshot());
  }

  const Judgement& judgement() const { return plan_; }
  const PlanItem& item(const std::string& name) const {
    const auto found = std::find_if(plan_.items.begin(), plan_.items.end(),
                                    [&](const PlanItem& each) { return name_of(each) == name; });
    if (found == plan_.items.end()) throw std::logic_error("no item " + name);
    return *found;
  }
  std::string verdict(const std::string& name) const { return std::string(to_string(item(name).verdict)); }
  std::string reason(const std::string& name) const { return plan_.reason_of(item(name)); }
  std::string rule(const std::string& name) const { return std::string(plan_.rule_of(item(name))); }
  std::string leader(const std::string& name) const {
    const RowIndex leader = item(name).leader;
    return leader == no_row ? "" : name_of(plan_.items[static_cast<std::size_t>(leader)]);
  }
  // "a b @c", in the order of the plan.
  std::string with(Verdict verdict) const {
    std::string names;
    for (const PlanItem& each : plan_.items) {
      if (each.verdict == verdict) names += (names.empty() ? "" : " ") + name_of(each);
    }
    return names;
  }
  std::string expired() const { return with(Verdict::expire); }
  std::string blocked() const { return with(Verdict::blocked); }
  std::string kept() const { return with(Verdict::keep); }
  // The manifests that go, in the order in which they do: "b (pr-1)", the item in brackets.
  std::string going() const {
    std::string names;
    for (const Removal& removal : plan_.removals)
      names += (names.empty() ? "" : ", ") +
               world_.manifests[static_cast<std::size_t>(removal.manifest)].name + " with " +
               name_of(plan_.items[static_cast<std::size_t>(removal.item)]);
    return names;
  }

 private:
  std::string name_of(const PlanItem& each) const {
    return each.tag == no_row ? "@" + world_.manifests[static_cast<std::size_t>(each.manifest)].name
                              : world_.tags[static_cast<std::size_t>(each.tag)].name;
  }
  const World& world_;
  Judgement plan_;
};

// One rule, with keep_last out of the way.
inline std::string rules(const std::string& keep, const std::string& expire) {
  return "lifecycle: {keep_last: 0}\nlifecycle_rules:\n  - {name: ci, keep: [" + keep + "], expire: [" +
         expire + "]}\n";
}

inline const Blocker in_use{Blocker::Kind::in_use, "cluster prod"};

inline std::string signature_of(char digit, const std::string& suffix = ".sig") {
  return "sha256-" + std::string(64, digit) + suffix;
}

inline World world_of(const std::vector<std::pair<std::string, int>>& images) {
  World world;
  for (const auto& [name, age] : images) world.image(name, days_ago(age));
  return world;
}

}  // namespace stele::policy
