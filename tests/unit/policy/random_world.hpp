#pragma once
// Small repositories and rules, drawn.

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "tests/unit/policy/lifecycle_world.hpp"

namespace stele::policy {

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  int upto(int most) { return static_cast<int>(engine_() % static_cast<std::uint64_t>(most + 1)); }
  bool in(int count) { return upto(count - 1) == 0; }
  template <class T>
  const T& of(const std::vector<T>& list) {
    return list[static_cast<std::size_t>(upto(static_cast<int>(list.size()) - 1))];
  }

 private:
  std::mt19937_64 engine_;
};

inline constexpr std::int64_t day_seconds = 24 * 3600;

inline LifecycleEntry random_entry(Random& random, bool keep) {
  static const std::vector<std::vector<std::string>> tags{
      {"*"}, {"v*"}, {"pr-*"}, {"latest"}, {"*", "!latest"}, {"@signature"}, {"@semver"}, {"pr-*", "v*"}};
  LifecycleEntry e;
  const auto days = [&] { return (1 + random.upto(5)) * day_seconds; };
  if (!keep && random.in(4)) {
    e.everything_else = true;
    if (random.in(3)) e.older_than = days();
    if (random.in(3)) e.not_pulled_for = days();
    return e;
  }
  if (random.in(keep ? 6 : 3)) {
    e.untagged = true;
  } else if (!random.in(3)) {
    e.tags = random.of(tags);
  }
  if (!e.untagged && random.in(6)) e.also_tagged = {random.in(2) ? "latest" : "pr-*"};
  if (!e.also_tagged.empty() && random.in(3)) e.also_tagged.push_back("v*");
  if (random.in(5)) e.pushed_within = days();
  if (random.in(5)) e.pulled_within = days();
  if (random.in(6)) e.artifact_types = {random.in(2) ? "image" : "sbom"};
  if (random.in(8)) e.labels = {{"k", {random.in(2) ? "x*" : "y"}}};
  if (random.in(8)) e.larger_than = static_cast<std::uint64_t>(random.upto(40));
  if (keep && random.in(4)) e.newest_pushed = 1 + random.upto(2);
  if (keep && random.in(6)) e.newest_pulled = 1 + random.upto(2);
  if (keep && !e.untagged && random.in(5)) e.newest_semver = 1 + random.upto(2);
  if (!keep && random.in(3)) e.older_than = days();
  if (!keep && random.in(4)) e.not_pulled_for = days();
  if (!keep && !e.untagged && random.in(5)) e.size_budget = static_cast<std::uint64_t>(1 + random.upto(60));
  return e;
}

inline std::vector<LifecycleRule> random_rules(Random& random) {
  std::vector<LifecycleRule> rules;
  const int count = 1 + random.upto(2);
  for (int i = 0; i < count; ++i) {
    LifecycleRule& rule = rules.emplace_back();
    rule.name = "rule" + std::to_string(i);
    if (random.in(6)) rule.repositories = {"elsewhere/**"};
    for (int n = random.upto(2); n > 0; --n) rule.keep.push_back(random_entry(random, true));
    for (int n = random.upto(3); n > 0; --n) rule.expire.push_back(random_entry(random, false));
  }
  return rules;
}

inline std::optional<Blocker> random_blocker(Random& random, int one_in, bool of_tag) {
  if (!random.in(one_in)) return std::nullopt;
  return Blocker{of_tag ? Blocker::Kind::tag_rule : Blocker::Kind::in_use, "x"};
}

inline World random_world(Random& random) {
  World world;
  const auto when = [&] { return days_ago(random.upto(7), random.in(3) ? 1 : 0); };
  const auto pushed = [&] { return random.in(12) ? never : when(); };
  if (random.in(4))
    world.pulls_since.reset();
  else if (random.in(2))
    world.pulls_since = when();
  std::vector<std::string> names, blobs;
  for (int n = random.upto(7); n >= 0; --n) names.push_back("m" + std::to_string(n));
  for (int n = random.upto(4); n >= 0; --n) {
    blobs.push_back("b" + std::to_string(n));
    world.blobs[blobs.back()] = {random.upto(12), random.in(5)};
  }
  // Mostly as hashes allow it, which is downwards in the list; sometimes rows that are damaged into circles.
  const bool circles = random.in(4);
  for (std::size_t i = 0; i < names.size(); ++i) {
    WorldManifest& m = world.manifest(names[i]);
    m.pushed_at = pushed();
    if (random.in(3)) m.pulled_at = when();
    if (random.in(4)) m.untagged_at = when();
    m.bytes = 1 + random.upto(5);
    const std::vector<std::string> others(names.begin() + (circles ? 0 : static_cast<std::ptrdiff_t>(i) + 1),
                                          names.end());
    if (!others.empty() && random.in(3)) {
      for (int n = 1 + random.upto(1); n > 0; --n) m.entries.push_back(random.of(others));
    }
    if (!others.empty() && random.in(4)) m.subject = random.of(others);
    if (random.in(12)) m.subject = "?";
    for (int n = random.upto(2); n > 0; --n) m.blobs.push_back(random.of(blobs));
    if (random.in(6))
      m.artifact_type.reset();
    else if (random.in(3))
      m.artifact_type = "sbom";
    if (random.in(6))
      m.labels.reset();
    else if (random.in(2))
      m.labels->emplace("k", random.in(2) ? "x1" : "y");
    m.blocker = random_blocker(random, 14, false);
  }
  static const std::vector<std::string> tags{"latest", "main",  "pr-1",        "pr-2", "v1.0.0",
                                             "v1.0.1", "1.0.1", "v1.1.0-rc.1", "v2"};
  for (const std::string& name : tags) {
    if (random.in(2)) continue;
    WorldTag& tag = world.tag(name, random.of(names), pushed());
    tag.blocker = random_blocker(random, 10, true);
    tag.sequence = random.upto(3);
  }
  for (int n = random.upto(2); n > 0; --n) {
    const std::string hex(64, static_cast<char>('0' + n));
    WorldTag& tag = world.tag("sha256-" + hex + ".sig", random.of(names), when());
    tag.signs = random.in(4) ? "?" : random.of(names);
    tag.blocker = random_blocker(random, 12, true);
  }
  return world;
}

}  // namespace stele::policy
