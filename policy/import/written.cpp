#include "policy/import/written.hpp"

#include "config/yaml_document.hpp"

namespace stele::policy {
namespace {

// In the largest unit that is exact: 14d, 36h.
std::string written_duration(std::int64_t seconds) {
  struct Unit {
    std::int64_t seconds;
    const char* name;
  };
  constexpr Unit units[] = {{24LL * 3600, "d"}, {3600, "h"}, {60, "m"}};
  for (const Unit& unit : units) {
    if (seconds % unit.seconds == 0) return std::to_string(seconds / unit.seconds) + unit.name;
  }
  return std::to_string(seconds) + "s";
}

// What the importers make: no labels, types or sizes.
std::string written(const LifecycleEntry& entry) {
  std::string text;
  const auto add = [&](const char* key, const std::string& value) {
    text += (text.empty() ? "" : ", ") + std::string(key) + ": " + value;
  };
  const auto duration = [&](const char* key, const std::optional<std::int64_t>& seconds) {
    if (seconds) add(key, written_duration(*seconds));
  };
  const auto number = [&](const char* key, const std::optional<std::uint32_t>& count) {
    if (count) add(key, std::to_string(*count));
  };
  if (!entry.tags.empty()) add("tags", list_of(entry.tags));
  if (!entry.also_tagged.empty()) add("also_tagged", list_of(entry.also_tagged));
  if (entry.untagged) add("untagged", "true");
  if (entry.everything_else) add("everything_else", "true");
  duration("older_than", entry.older_than);
  duration("not_pulled_for", entry.not_pulled_for);
  duration("pushed_within", entry.pushed_within);
  duration("pulled_within", entry.pulled_within);
  number("newest_pushed", entry.newest_pushed);
  number("newest_pulled", entry.newest_pulled);
  return "      - {" + text + "}\n";
}

std::string written(const char* key, const std::vector<LifecycleEntry>& entries) {
  std::string text;
  for (const LifecycleEntry& entry : entries) text += written(entry);
  return text.empty() ? text : "    " + std::string(key) + ":\n" + text;
}

}  // namespace

std::string list_of(const std::vector<std::string>& patterns) {
  std::string list = "[";
  for (const std::string& pattern : patterns)
    list += (list.size() == 1 ? "" : ", ") + config::yaml_scalar(pattern);
  return list + "]";
}

std::string written(const std::vector<LifecycleRule>& rules) {
  std::string text = rules.empty() ? "" : "lifecycle_rules:\n";
  for (const LifecycleRule& rule : rules) {
    text += "  - name: " + config::yaml_scalar(rule.name) +
            "\n    repositories: " + list_of(rule.repositories) + "\n" + written("keep", rule.keep) +
            written("expire", rule.expire);
  }
  return text;
}

}  // namespace stele::policy
