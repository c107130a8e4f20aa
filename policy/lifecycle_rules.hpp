#pragma once
// What lifecycle may remove: the sections lifecycle and lifecycle_rules of policy.yaml as values, and
// compiled for judging (judge.hpp). What they mean: docs/policy.md, "Lifecycle rules".

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/cron.hpp"
#include "policy/pattern.hpp"

namespace stele::policy {

struct LabelSelector {
  std::string key;
  std::vector<std::string> patterns;  // of the value
};

// One entry of keep or expire. What is absent selects everything; all that is there must hold at once:
// filters first, ranks (newest_*) last. Durations are in seconds, sizes in bytes.
struct LifecycleEntry {
  std::vector<std::string> tags;
  // For each of these the image has a tag that matches it, the one that is judged or another.
  std::vector<std::string> also_tagged;
  bool untagged = false;
  bool everything_else = false;            // with older_than and not_pulled_for only
  std::optional<std::int64_t> older_than;  // expire only, as everything_else and the next
  std::optional<std::int64_t> not_pulled_for;
  std::optional<std::int64_t> pushed_within;
  std::optional<std::int64_t> pulled_within;
  std::optional<std::uint32_t> newest_pushed;  // keep only, as the next two
  std::optional<std::uint32_t> newest_pulled;
  std::optional<std::uint32_t> newest_semver;
  std::vector<std::string> artifact_types;
  std::vector<LabelSelector> labels;  // each of them
  std::optional<std::uint64_t> larger_than;
  std::optional<std::uint64_t> size_budget;  // expire only

  bool ranks() const { return newest_pushed || newest_pulled || newest_semver; }
};

// For people: "tags pr-*, older_than 14d".
std::string describe(const LifecycleEntry&);

struct LifecycleRule {
  std::string name;
  std::vector<std::string> repositories{"**"};
  std::vector<LifecycleEntry> keep;
  std::vector<LifecycleEntry> expire;
};

struct LifecycleSettings {
  std::optional<Schedule> schedule;  // without one a run never starts by itself
  std::vector<Window> windows;       // none: always
  std::int64_t trash_for = 14 * 24 * 3600;
  double max_fraction = 0.5;                 // of the manifests of one repository
  std::uint64_t max_count = 10'000;          // manifests of a run
  std::uint32_t keep_last = 1;               // 0: a repository may lose its last image
  std::vector<std::string> ignore_pulls_by;  // principals, and "agent:…" for what programs call themselves
};

// The patterns of ignore_pulls_by that are about principals, or (without "agent:") those about programs. What
// a program calls itself is no path: there `*` is any characters.
std::vector<std::string> ignored_principals(const std::vector<std::string>&);
std::vector<std::string> ignored_agents(const std::vector<std::string>&);

// The lifecycle rules of one policy. Immutable; thread-safe.
class Lifecycle {
 public:
  struct Entry {
    LifecycleEntry selects;
    std::string place;  // "expire entry 1 of rule ci (tags pr-*, older_than 14d)"
    PatternList tags;
    std::vector<PatternList> also_tagged;  // beside selects.also_tagged
    PatternList artifact_types;
    std::vector<PatternList> labels;  // beside selects.labels
  };
  struct Rule {
    std::string name;
    PatternList repositories;
    std::vector<Entry> keep;
    std::vector<Entry> expire;
  };

  // Patterns are taken as checked; a bad one throws std::invalid_argument.
  Lifecycle(LifecycleSettings, const std::vector<LifecycleRule>&);
  Lifecycle(const Lifecycle&) = delete;
  Lifecycle& operator=(const Lifecycle&) = delete;

  const LifecycleSettings& settings() const { return settings_; }
  const std::vector<Rule>& rules() const { return rules_; }

  // The rules that apply to a repository: all that match it, in the order of the file. They live as long as
  // the Lifecycle.
  std::vector<const Rule*> rules_for(std::string_view repository) const;

  // Whether a pull by this principal, or by a program that calls itself so, says nothing about use.
  bool ignores_pulls_by(std::string_view principal, std::string_view agent = {}) const {
    return ignored_.matches(principal) || (ignores_agents_ && ignored_agents_.matches(agent));
  }

 private:
  const LifecycleSettings settings_;
  std::vector<Rule> rules_;
  PatternList ignored_;
  PatternList ignored_agents_;
  const bool ignores_agents_;
};

// What a snapshot (snapshot.hpp) must hold for these rules to be judged; the rest may be left out.
struct SnapshotNeeds {
  bool any_expire = false;  // without it nothing is ever removed, and judging is idle
  bool labels = false;
};
SnapshotNeeds needs_of(const std::vector<const Lifecycle::Rule*>&);

}  // namespace stele::policy
