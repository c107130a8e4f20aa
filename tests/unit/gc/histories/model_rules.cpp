// The rules between which histories change.

#include <algorithm>

#include "tests/unit/gc/histories/model.hpp"

namespace stele::histories_test {
namespace {

constexpr Seconds hour = 3600;

std::string text_of(const Entry& entry) {
  std::string text;
  const auto add = [&](const std::string& selector) { text += (text.empty() ? "" : ", ") + selector; };
  if (!entry.tags.empty()) {
    std::string patterns;
    for (const std::string& head : entry.tags) patterns += (patterns.empty() ? "\"" : ", \"") + head + "*\"";
    add("tags: [" + patterns + "]");
  }
  if (entry.untagged) add("untagged: true");
  if (entry.everything_else) add("everything_else: true");
  if (entry.older_than) add("older_than: " + std::to_string(*entry.older_than / hour) + "h");
  if (entry.not_pulled_for) add("not_pulled_for: " + std::to_string(*entry.not_pulled_for / hour) + "h");
  if (entry.pulled_within) add("pulled_within: " + std::to_string(*entry.pulled_within / hour) + "h");
  if (entry.newest_pushed > 0) add("newest_pushed: " + std::to_string(entry.newest_pushed));
  return "      - {" + text + "}\n";
}

}  // namespace

bool Rules::apply_to(const std::string& repository) const {
  return repositories.empty() ||
         std::find(repositories.begin(), repositories.end(), repository) != repositories.end();
}

const std::vector<Rules>& all_rules() {
  static const std::vector<Rules> all{
      {},
      {.expire = {{.tags = {"pr-"}, .older_than = hour}, {.untagged = true, .older_than = 2 * hour}}},
      {.keep = {{.tags = {""}, .newest_pushed = 3}, {.pulled_within = hour}},
       .expire = {{.everything_else = true}}},
      {.expire = {{.tags = {""}, .not_pulled_for = 2 * hour}, {.untagged = true, .older_than = hour}},
       .keep_last = 1},
      {.expire = {{.tags = {"pr-", "sha-"}, .older_than = hour}, {.untagged = true}}, .most_percent = 30},
      {.repositories = {"a", "team/c"},
       .keep = {{.tags = {"main"}}},
       .expire = {{.everything_else = true, .older_than = hour}}},
  };
  return all;
}

const Rules& rules_for_the_end() {
  static const Rules rules{.expire = {{.everything_else = true}}};
  return rules;
}

std::string policy_text(const Rules& rules) {
  std::string text = R"(tag_rules:
  - {name: signatures, tags: ["@signature"], mutability: append-only}
  - {name: commits, tags: ["sha-*"], mutability: immutable, lifecycle: allow}
  - {name: releases, tags: ["1.*"], mutability: immutable}
lifecycle:
)";
  text += "  trash_for: " + std::to_string(trash_for / hour) + "h\n";
  text += "  keep_last: " + std::to_string(rules.keep_last) + "\n";
  text += "  max_fraction: " + std::string(rules.most_percent == 100 ? "1.0" : "0.") +
          (rules.most_percent == 100 ? "" : std::to_string(rules.most_percent)) + "\n";
  if (rules.expire.empty()) return text;
  text += "lifecycle_rules:\n  - name: only\n";
  if (!rules.repositories.empty()) {
    std::string names;
    for (const std::string& name : rules.repositories) names += (names.empty() ? "\"" : ", \"") + name + "\"";
    text += "    repositories: [" + names + "]\n";
  }
  if (!rules.keep.empty()) text += "    keep:\n";
  for (const Entry& entry : rules.keep) text += text_of(entry);
  text += "    expire:\n";
  for (const Entry& entry : rules.expire) text += text_of(entry);
  return text;
}

}  // namespace stele::histories_test
