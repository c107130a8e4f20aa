#pragma once
// What another policy would change: which tags that exist get another class, and which bindings of the past
// it would have refused. Reads only; nothing is put in force.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "policy/rules.hpp"
#include "registry/context.hpp"

namespace stele {

struct ChangedTag {
  std::string repository;
  std::string tag;
  std::string old_rule, old_mutability;
  std::string new_rule, new_mutability;
  std::string what;  // "mutability", "delete", "lifecycle", "lock": the first that differs
};

struct RefusedBinding {
  std::string repository;
  std::string tag;
  Timestamp at;
  std::string by;
  std::string rule;
  std::string reason;  // as a refusal's: "TAG_IMMUTABLE"
};

// A tag that looks as if it was meant to stay, and that no rule of the new policy speaks of.
struct UncoveredTag {
  std::string repository;
  std::string tag;
  std::string shape;  // policy::fixed_shape
};

struct PolicyTrial {
  std::int64_t tags = 0;          // looked at
  std::int64_t tags_changed = 0;  // in all; `changed` has at most `most_listed`
  std::vector<ChangedTag> changed;
  std::int64_t bindings = 0;  // looked at: those since the time asked for
  std::int64_t bindings_refused = 0;
  std::vector<RefusedBinding> refused;
  std::int64_t tags_uncovered = 0;  // in all; `uncovered` has at most `most_listed`
  std::vector<UncoveredTag> uncovered;
  std::int64_t undecided = 0;  // whose manifests are gone, so that nobody can tell
};

// Thread-safe.
class PolicyTrials {
 public:
  static constexpr std::size_t most_listed = 1000;

  explicit PolicyTrials(const RegistryContext& context) : context_(context) {}

  // Compares with the policy in force. Runs on a thread of its own, a page at a time, and continues on the
  // caller's executor.
  Task<Result<PolicyTrial>> run(std::shared_ptr<const policy::Policy>, Timestamp since) const;

 private:
  RegistryContext context_;
  mutable ThreadPool thread_{"stele-trial", 1};  // minutes, which nobody waits for on the db pool
};

}  // namespace stele
