// What the lifecycle sections do not do, though somebody may think so. Said only where it is certain.

#include <algorithm>

#include "policy/lifecycle_reader.hpp"
#include "policy/pattern_texts.hpp"

namespace stele::policy {
namespace {

// Of patterns with patterns: beyond them nothing is said, rather than that reading a policy takes seconds.
constexpr std::size_t most_comparisons = 20'000;

std::size_t count_patterns(const std::vector<LifecycleRule>& rules) {
  std::size_t count = 0;
  for (const LifecycleRule& rule : rules) {
    count += rule.repositories.size();
    for (const LifecycleEntry& entry : rule.keep) count += entry.tags.size();
    for (const LifecycleEntry& entry : rule.expire) count += entry.tags.size();
  }
  return count;
}

std::size_t count_patterns(const std::vector<TagRule>& rules) {
  std::size_t count = 1;
  for (const TagRule& rule : rules) count += rule.repositories.size() + rule.tags.size();
  return count;
}

// The rule that protects all tags that the pattern names, wherever the lifecycle rule applies; null when that
// is not certain.
const TagRule* surely_protecting(const std::vector<TagRule>& tag_rules, const TagRule& otherwise,
                                 const std::vector<std::string>& repositories,
                                 const std::vector<std::string>& tags) {
  const TagRule* first = nullptr;
  for (const TagRule& rule : tag_rules) {
    if (surely_apart(rule.repositories, repositories) || surely_apart(rule.tags, tags)) continue;
    if (!rule.lifecycle_protects) return nullptr;
    if (first == nullptr) first = &rule;
    if (surely_covers(rule.repositories, repositories, PatternsOf::repositories) &&
        surely_covers(rule.tags, tags, PatternsOf::tags))
      return first;
  }
  if (!otherwise.lifecycle_protects) return nullptr;
  return first == nullptr ? &otherwise : first;
}

bool has_tags_only(const LifecycleEntry& entry) {
  return !entry.tags.empty() && entry.also_tagged.empty() && !entry.ranks() && !entry.pushed_within &&
         !entry.pulled_within && entry.artifact_types.empty() && entry.labels.empty() && !entry.larger_than;
}

}  // namespace

void LifecycleReader::finish() {
  if (!no_problems()) return;
  if (settings_at_.line > 0 && rules.empty())
    warn(settings_at_, "lifecycle is set up, but without lifecycle_rules nothing is ever removed");
  const auto expires = [](const LifecycleRule& rule) { return !rule.expire.empty(); };
  if (!rules.empty() && std::none_of(rules.begin(), rules.end(), expires))
    return warn(rules_at_, "no rule of lifecycle_rules has an expire entry, so nothing is ever removed");
  warn_of_idle_keeps();
  warn_of_ranks_without_untagged();
  const auto keeps = [](const LifecycleRule& rule) { return !rule.keep.empty(); };
  if (std::any_of(rules.begin(), rules.end(), keeps)) return;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    for (const LifecycleEntry& entry : rules[i].expire) {
      if (entry.everything_else && !entry.older_than && !entry.not_pulled_for)
        warn(places_[i].rule,
             "rule " + rules[i].name +
                 " expires everything that no keep entry keeps, and there is none: only keep_last, "
                 "protected tags, locks, holds and what is in use stay");
    }
  }
}

void LifecycleReader::warn_of_idle_keeps() {
  const std::size_t patterns = count_patterns(rules);
  if (patterns * patterns > most_comparisons) return;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    if (rules[i].keep.empty() || !rules[i].expire.empty()) continue;
    const bool meets = std::any_of(rules.begin(), rules.end(), [&](const LifecycleRule& other) {
      return !other.expire.empty() && !surely_apart(rules[i].repositories, other.repositories);
    });
    if (!meets)
      warn(places_[i].rule,
           "rule " + rules[i].name +
               " keeps nothing from anything: no rule with an expire entry has the same repositories");
  }
}

// "The newest five stay" says nothing of what has no tag.
void LifecycleReader::warn_of_ranks_without_untagged() {
  const auto any = [](const std::vector<LifecycleEntry>& entries, auto is) {
    return std::any_of(entries.begin(), entries.end(), is);
  };
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const LifecycleRule& rule = rules[i];
    const bool removes_untagged =
        any(rule.expire, [](const LifecycleEntry& entry) { return entry.untagged; });
    const bool keeps_untagged = any(rule.keep, [](const LifecycleEntry& entry) { return entry.untagged; });
    const bool ranks_all = any(rule.keep, [](const LifecycleEntry& entry) {
      return entry.tags.empty() && entry.also_tagged.empty() && (entry.newest_pushed || entry.newest_pulled);
    });
    if (ranks_all && removes_untagged && !keeps_untagged)
      warn(places_[i].rule, "rule " + rule.name +
                                " keeps the newest of what has tags; manifests without one are not kept by "
                                "that and go: {untagged: true, newest_pushed: 5} in keep keeps the newest of "
                                "those too, and tags: [\"*\"] beside the rank says that this is meant");
  }
}

// The first rule with a keep entry that keeps all that this expire entry of `rule` names; null when that is
// not certain.
const LifecycleRule* LifecycleReader::surely_keeping(const LifecycleRule& rule,
                                                     const LifecycleEntry& expire) const {
  for (const LifecycleRule& other : rules) {
    const bool applies =
        &other == &rule || surely_covers(other.repositories, rule.repositories, PatternsOf::repositories);
    if (applies && std::any_of(other.keep.begin(), other.keep.end(), [&](const LifecycleEntry& keep) {
          return has_tags_only(keep) && surely_covers(keep.tags, expire.tags, PatternsOf::tags);
        }))
      return &other;
  }
  return nullptr;
}

void LifecycleReader::warn_of_idle_entries(const std::vector<TagRule>& tag_rules, const TagRule& otherwise) {
  if (!no_problems()) return;
  const std::size_t patterns = count_patterns(rules);
  if (patterns * (patterns + count_patterns(tag_rules)) > most_comparisons) return;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    for (std::size_t e = 0; e < rules[i].expire.size(); ++e) {
      const LifecycleEntry& entry = rules[i].expire[e];
      if (entry.tags.empty()) continue;
      if (const LifecycleRule* const keeping = surely_keeping(rules[i], entry)) {
        warn(places_[i].expire[e], "this entry never removes anything: a keep entry of rule " +
                                       keeping->name +
                                       " keeps all tags that it names, and keep beats expire");
        continue;
      }
      const TagRule* const by = surely_protecting(tag_rules, otherwise, rules[i].repositories, entry.tags);
      if (by != nullptr)
        warn(places_[i].expire[e], "this entry never removes anything: tag rule " + by->name +
                                       " protects the tags that it names; lifecycle: allow in that rule lets "
                                       "them expire");
    }
  }
}

}  // namespace stele::policy
