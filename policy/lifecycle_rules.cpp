#include "policy/lifecycle_rules.hpp"

#include "base/printable.hpp"
#include "config/quantity.hpp"

namespace stele::policy {
namespace {

std::string listed(const std::vector<std::string>& patterns) {
  std::string text;
  for (const std::string& pattern : patterns) text += (text.empty() ? "" : " ") + printable(pattern, 60);
  return text;
}

Lifecycle::Entry compiled(const LifecycleEntry& entry, std::string place) {
  Lifecycle::Entry result{
      entry, std::move(place) + " (" + describe(entry) + ")", PatternList::of_checked(entry.tags),
      {},    PatternList::of_checked(entry.artifact_types),   {}};
  for (const std::string& pattern : entry.also_tagged)
    result.also_tagged.push_back(PatternList::of_checked({pattern}));
  for (const LabelSelector& label : entry.labels)
    result.labels.push_back(PatternList::of_checked(label.patterns));
  return result;
}

std::vector<Lifecycle::Entry> compiled(const std::vector<LifecycleEntry>& entries, const std::string& list,
                                       const std::string& rule) {
  std::vector<Lifecycle::Entry> result;
  for (const LifecycleEntry& entry : entries)
    result.push_back(
        compiled(entry, list + " entry " + std::to_string(result.size() + 1) + " of rule " + rule));
  return result;
}

}  // namespace

namespace {

constexpr std::string_view agent = "agent:";

// "!agent:x" is "!x".
std::optional<std::string> without_agent(const std::string& pattern) {
  const std::size_t head = pattern.starts_with('!') ? 1 : 0;
  if (pattern.compare(head, agent.size(), agent) != 0) return std::nullopt;
  return pattern.substr(0, head) + pattern.substr(head + agent.size());
}

}  // namespace

std::vector<std::string> ignored_principals(const std::vector<std::string>& patterns) {
  std::vector<std::string> principals;
  for (const std::string& pattern : patterns) {
    if (!without_agent(pattern)) principals.push_back(pattern);
  }
  return principals;
}

std::vector<std::string> ignored_agents(const std::vector<std::string>& patterns) {
  std::vector<std::string> agents;
  for (const std::string& pattern : patterns) {
    const auto written = without_agent(pattern);
    if (!written) continue;
    const bool is_regular_expression = written->find_first_of("!/") == 0 && written->find('/') <= 1;
    if (is_regular_expression) {
      agents.push_back(*written);
      continue;
    }
    std::string any;
    for (const char c : *written) {
      if (c == '*' && any.ends_with('*')) continue;
      any += c == '*' ? "**" : std::string(1, c);
    }
    agents.push_back(std::move(any));
  }
  return agents;
}

std::string describe(const LifecycleEntry& entry) {
  std::string text;
  const auto add = [&](const std::string& word) { text += (text.empty() ? "" : ", ") + word; };
  const auto duration = [&](const char* word, const std::optional<std::int64_t>& value) {
    if (value) add(std::string(word) + " " + config::format_duration(std::chrono::seconds(*value)));
  };
  const auto number = [&](const char* word, const std::optional<std::uint32_t>& value) {
    if (value) add(std::string(word) + " " + std::to_string(*value));
  };
  const auto size = [&](const char* word, const std::optional<std::uint64_t>& value) {
    if (value) add(std::string(word) + " " + config::format_size(*value));
  };
  if (!entry.tags.empty()) add("tags " + listed(entry.tags));
  if (!entry.also_tagged.empty()) add("also_tagged " + listed(entry.also_tagged));
  if (entry.untagged) add("untagged");
  if (entry.everything_else) add("everything_else");
  if (!entry.artifact_types.empty()) add("artifact_type " + listed(entry.artifact_types));
  for (const LabelSelector& label : entry.labels)
    add("label " + printable(label.key, 60) + ": " + listed(label.patterns));
  size("larger_than", entry.larger_than);
  duration("older_than", entry.older_than);
  duration("not_pulled_for", entry.not_pulled_for);
  duration("pushed_within", entry.pushed_within);
  duration("pulled_within", entry.pulled_within);
  number("newest_pushed", entry.newest_pushed);
  number("newest_pulled", entry.newest_pulled);
  number("newest_semver", entry.newest_semver);
  size("size_budget", entry.size_budget);
  return text;
}

Lifecycle::Lifecycle(LifecycleSettings settings, const std::vector<LifecycleRule>& rules)
    : settings_(std::move(settings)),
      ignored_(PatternList::of_checked(ignored_principals(settings_.ignore_pulls_by))),
      ignored_agents_(PatternList::of_checked(ignored_agents(settings_.ignore_pulls_by))),
      ignores_agents_(!ignored_agents(settings_.ignore_pulls_by).empty()) {
  for (const LifecycleRule& rule : rules) {
    rules_.push_back({rule.name, PatternList::of_checked(rule.repositories),
                      compiled(rule.keep, "keep", rule.name), compiled(rule.expire, "expire", rule.name)});
  }
}

std::vector<const Lifecycle::Rule*> Lifecycle::rules_for(std::string_view repository) const {
  std::vector<const Rule*> found;
  for (const Rule& rule : rules_) {
    if (rule.repositories.matches(repository)) found.push_back(&rule);
  }
  return found;
}

SnapshotNeeds needs_of(const std::vector<const Lifecycle::Rule*>& rules) {
  SnapshotNeeds needs;
  for (const Lifecycle::Rule* rule : rules) {
    needs.any_expire = needs.any_expire || !rule->expire.empty();
    for (const auto* entries : {&rule->keep, &rule->expire}) {
      for (const Lifecycle::Entry& entry : *entries) needs.labels = needs.labels || !entry.labels.empty();
    }
  }
  return needs;
}

}  // namespace stele::policy
