#include "policy/lifecycle_reader.hpp"

#include <algorithm>
#include <charconv>

#include "base/printable.hpp"
#include "config/quantity.hpp"

namespace stele::policy {
namespace {

using config::YamlNode;

constexpr std::string_view settings_keys[] = {"schedule",  "windows",   "trash_for",      "max_fraction",
                                              "max_count", "keep_last", "ignore_pulls_by"};
constexpr std::string_view lifecycle_rule_keys[] = {"name", "repositories", "keep", "expire"};
constexpr std::string_view keep_keys[] = {"tags",          "also_tagged",   "untagged",      "pushed_within",
                                          "pulled_within", "newest_pushed", "newest_pulled", "newest_semver",
                                          "artifact_type", "label",         "larger_than"};
constexpr std::string_view expire_keys[] = {
    "tags",          "also_tagged",   "untagged", "everything_else", "older_than",  "not_pulled_for",
    "pushed_within", "pulled_within", "label",    "artifact_type",   "larger_than", "size_budget"};
constexpr std::uint64_t largest_rank = 1'000'000;
constexpr std::uint64_t largest_run = 1'000'000'000;

bool contains(std::span<const std::string_view> words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

}  // namespace

void LifecycleReader::read_settings(const YamlNode& node) {
  settings_at_ = node.key_at;
  if (node.kind != YamlNode::Kind::mapping)
    return fail(node.at,
                "lifecycle must be a mapping such as {schedule: \"0 3 * * *\", trash_for: 14d}, not " +
                    std::string(config::kind_name(node.kind)));
  for (const YamlNode& child : node.children) {
    if (child.key == "schedule") {
      if (!read_text(child, "schedule")) continue;
      auto schedule = Schedule::parse(child.text);
      schedule ? void(settings.schedule = std::move(*schedule)) : fail(child.at, schedule.error().message());
    } else if (child.key == "windows") {
      read_windows(child);
    } else if (child.key == "trash_for") {
      if (child.kind == YamlNode::Kind::scalar && child.text == "0") {
        settings.trash_for = 0;
        warn(child.at,
             "trash_for is 0: what a run removes is erased at once, and nothing brings it back; 14d keeps it "
             "restorable for two weeks");
        continue;
      }
      read_duration(child, settings.trash_for);
    } else if (child.key == "max_fraction") {
      read_fraction(child);
    } else if (child.key == "max_count") {
      if (const auto number = read_number(child, 1, largest_run)) settings.max_count = *number;
    } else if (child.key == "keep_last") {
      if (const auto number = read_number(child, 0, largest_rank))
        settings.keep_last = static_cast<std::uint32_t>(*number);
    } else if (child.key == "ignore_pulls_by") {
      if (child.kind == YamlNode::Kind::sequence && child.children.empty()) continue;
      read_patterns(child, "ignore_pulls_by", settings.ignore_pulls_by);
    } else {
      unknown_key(child, settings_keys, "in lifecycle");
    }
  }
}

void LifecycleReader::read_windows(const YamlNode& node) {
  if (node.kind != YamlNode::Kind::sequence || node.children.empty())
    return fail(
        node.at,
        "windows must be a list of times in UTC such as [\"22:00-05:00\", \"sat,sun 00:00-24:00\"]; leave "
        "it out to allow any time");
  for (const YamlNode& item : node.children) {
    if (!read_text(item, "a window")) continue;
    auto window = Window::parse(item.text);
    window ? settings.windows.push_back(std::move(*window)) : fail(item.at, window.error().message());
  }
}

void LifecycleReader::read_fraction(const YamlNode& node) {
  const std::string& text = node.text;
  double value = 0;
  const auto [end, failed] =
      std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  const bool plain = text.find_first_not_of("0123456789.") == std::string::npos;
  if (plain && failed == std::errc() && end == text.data() + text.size() && value > 0 && value <= 1) {
    settings.max_fraction = value;
    return;
  }
  fail(node.at,
       "max_fraction must be a part of a repository's manifests above 0 and at most 1, such as 0.5, not " +
           in_quotes(text));
}

void LifecycleReader::read_rules(const YamlNode& node) {
  rules_at_ = node.key_at;
  if (node.kind == YamlNode::Kind::null) return;
  if (node.kind != YamlNode::Kind::sequence)
    return fail(node.at,
                "lifecycle_rules must be a list of rules, not " + std::string(config::kind_name(node.kind)));
  for (const YamlNode& item : node.children) {
    if (item.kind == YamlNode::Kind::mapping) {
      read_rule(item);
    } else {
      fail(item.at,
           "a rule must be a mapping such as {name: ci, repositories: [\"ci/**\"], expire: [{tags: "
           "[\"pr-*\"], "
           "older_than: 14d}]}");
    }
  }
}

void LifecycleReader::read_rule(const YamlNode& node) {
  LifecycleRule rule;
  bool has_name = false;
  places_.push_back({node.at, {}});
  for (const YamlNode& child : node.children) {
    if (child.key == "name") {
      has_name = read_name(child, rule.name);
    } else if (child.key == "repositories") {
      read_patterns(child, "repositories", rule.repositories);
    } else if (child.key == "keep") {
      read_entries(child, false, rule.keep);
    } else if (child.key == "expire") {
      read_entries(child, true, rule.expire);
    } else {
      unknown_key(child, lifecycle_rule_keys, "in a rule of lifecycle_rules");
    }
  }
  if (!has_name) complain_of_missing_name(node);
  // Entries that were complained of do not make the rule empty as well.
  const bool has_entries = std::any_of(node.children.begin(), node.children.end(), [](const YamlNode& child) {
    return (child.key == "keep" || child.key == "expire") &&
           (child.kind != YamlNode::Kind::sequence || !child.children.empty());
  });
  if (!has_entries)
    fail(node.at, "rule " + printable(rule.name) + " has neither keep nor expire, so it says nothing");
  rules.push_back(std::move(rule));
}

void LifecycleReader::read_entries(const YamlNode& node, bool expires, std::vector<LifecycleEntry>& entries) {
  const std::string example = expires ? "{tags: [\"pr-*\"], older_than: 14d}" : "{newest_semver: 5}";
  if (node.kind != YamlNode::Kind::sequence)
    return fail(node.at, node.key + " must be a list of entries such as [" + example + "], not " +
                             std::string(config::kind_name(node.kind)));
  for (const YamlNode& item : node.children) {
    if (item.kind != YamlNode::Kind::mapping) {
      fail(item.at, "an entry of " + node.key + " must be a mapping such as " + example);
    } else if (item.children.empty()) {
      fail(item.at, "an entry of " + node.key + " selects nothing by itself; write " +
                        (expires ? "{everything_else: true} for whatever nothing keeps"
                                 : "{tags: [\"*\"]} for every tag"));
    } else {
      if (expires) places_.back().expire.push_back(item.at);
      read_entry(item, expires, entries.emplace_back());
    }
  }
}

void LifecycleReader::read_entry(const YamlNode& node, bool expires, LifecycleEntry& entry) {
  for (const YamlNode& child : node.children) {
    if (read_filter(child, entry) || (expires ? read_expiry(child, entry) : read_rank(child, entry)))
      continue;
    complain_of_key(child, expires);
  }
  complain_of_company(node, entry);
  if (expires && (entry.pushed_within || entry.pulled_within))
    warn(node.at,
         "this entry expires what was pushed or pulled lately; for what was not, write older_than or "
         "not_pulled_for");
}

bool LifecycleReader::read_filter(const YamlNode& node, LifecycleEntry& entry) {
  if (node.key == "tags") {
    read_patterns(node, "tags", entry.tags);
  } else if (node.key == "also_tagged") {
    read_pattern_or_list(node, "also_tagged", entry.also_tagged);
    for (const std::string& pattern : entry.also_tagged) {
      if (pattern.starts_with('!'))
        fail(node.at, "also_tagged names tags that the image has, each of them; what it must not have (" +
                          in_quotes(pattern) + ") cannot be said, but a keep entry with also_tagged: " +
                          in_quotes(pattern.substr(1)) + " keeps those that have it");
    }
  } else if (node.key == "untagged") {
    read_true(node, entry.untagged);
  } else if (node.key == "pushed_within") {
    read_duration_into(node, entry.pushed_within);
  } else if (node.key == "pulled_within") {
    read_duration_into(node, entry.pulled_within);
  } else if (node.key == "artifact_type") {
    read_pattern_or_list(node, "artifact_type", entry.artifact_types);
  } else if (node.key == "label") {
    read_labels(node, entry.labels);
  } else if (node.key == "larger_than") {
    read_size(node, entry.larger_than);
  } else {
    return false;
  }
  return true;
}

bool LifecycleReader::read_rank(const YamlNode& node, LifecycleEntry& entry) {
  std::optional<std::uint32_t>* rank = node.key == "newest_pushed"   ? &entry.newest_pushed
                                       : node.key == "newest_pulled" ? &entry.newest_pulled
                                       : node.key == "newest_semver" ? &entry.newest_semver
                                                                     : nullptr;
  if (!rank) return false;
  if (const auto number = read_number(node, 1, largest_rank)) *rank = static_cast<std::uint32_t>(*number);
  return true;
}

bool LifecycleReader::read_expiry(const YamlNode& node, LifecycleEntry& entry) {
  if (node.key == "everything_else") {
    read_true(node, entry.everything_else);
  } else if (node.key == "older_than") {
    read_duration_into(node, entry.older_than);
  } else if (node.key == "not_pulled_for") {
    read_duration_into(node, entry.not_pulled_for);
  } else if (node.key == "size_budget") {
    read_size(node, entry.size_budget);
  } else {
    return false;
  }
  return true;
}

void LifecycleReader::complain_of_key(const YamlNode& child, bool expires) {
  if (expires && contains(keep_keys, child.key))
    return fail(child.key_at,
                child.key +
                    " belongs in keep: what it does not keep, {everything_else: true} in expire "
                    "removes");
  if (!expires && child.key == "older_than")
    return fail(child.key_at, "older_than belongs in expire; to keep what is new, write pushed_within");
  if (!expires && child.key == "not_pulled_for")
    return fail(child.key_at, "not_pulled_for belongs in expire; to keep what is used, write pulled_within");
  if (!expires && contains(expire_keys, child.key))
    return fail(child.key_at, child.key + " belongs in expire; keep names what stays by its own features");
  const std::span<const std::string_view> known =
      expires ? std::span<const std::string_view>(expire_keys) : std::span<const std::string_view>(keep_keys);
  unknown_key(child, known, expires ? "in an entry of expire" : "in an entry of keep");
}

void LifecycleReader::complain_of_company(const YamlNode& node, const LifecycleEntry& entry) {
  const auto has = [&](std::string_view key) {
    return std::any_of(node.children.begin(), node.children.end(),
                       [&](const YamlNode& child) { return child.key == key; });
  };
  complain_of_ages(node, entry);
  if (entry.everything_else) {
    for (const YamlNode& child : node.children) {
      if (child.key == "everything_else" || child.key == "older_than" || child.key == "not_pulled_for" ||
          !contains(expire_keys, child.key))
        continue;
      fail(child.key_at,
           child.key +
               " cannot stand beside everything_else, which is whatever no keep entry keeps; only "
               "older_than and not_pulled_for can");
    }
    return;
  }
  if (!entry.untagged) return;
  for (const char* key : {"tags", "also_tagged", "newest_semver"}) {
    if (!has(key)) continue;
    fail(node.at, "untagged cannot stand beside " + std::string(key) +
                      ": what has no tag matches none; make two entries of it");
  }
  if (has("size_budget"))
    fail(node.at,
         "size_budget removes tags, oldest first, and cannot stand beside untagged; make two entries of it");
}

// Whoever was pushed or pulled lately was used lately.
void LifecycleReader::complain_of_ages(const YamlNode& node, const LifecycleEntry& entry) {
  const auto compare = [&](const char* longer, std::optional<std::int64_t> least, const char* shorter,
                           std::optional<std::int64_t> most) {
    if (!least || !most || *least <= *most) return;
    const auto text = [](std::int64_t seconds) {
      return config::format_duration(std::chrono::seconds(seconds));
    };
    fail(node.at, std::string(longer) + " " + text(*least) + " and " + shorter + " " + text(*most) +
                      " exclude each other: nothing is both, so this entry would never select anything; make "
                      "two entries of it, or change one of the times");
  };
  compare("older_than", entry.older_than, "pushed_within", entry.pushed_within);
  compare("not_pulled_for", entry.not_pulled_for, "pulled_within", entry.pulled_within);
  compare("not_pulled_for", entry.not_pulled_for, "pushed_within", entry.pushed_within);
}

void LifecycleReader::read_pattern_or_list(const YamlNode& node, const std::string& what,
                                           std::vector<std::string>& patterns) {
  if (node.kind != YamlNode::Kind::scalar) return read_patterns(node, what, patterns);
  YamlNode list;
  list.kind = YamlNode::Kind::sequence;
  list.at = node.at;
  list.children.push_back(node);
  read_patterns(list, what, patterns);
}

void LifecycleReader::read_labels(const YamlNode& node, std::vector<LabelSelector>& labels) {
  if (node.kind != YamlNode::Kind::mapping || node.children.empty())
    return fail(
        node.at,
        "label must be a mapping of keys to patterns, such as {org.opencontainers.image.vendor: acme}");
  for (const YamlNode& child : node.children) {
    if (!is_printable_line(child.key) || child.key.empty()) {
      fail(child.key_at, "a label's key must be one line of text");
      continue;
    }
    LabelSelector& label = labels.emplace_back();
    label.key = child.key;
    read_pattern_or_list(child, "label " + printable(child.key), label.patterns);
  }
}

void LifecycleReader::read_duration_into(const YamlNode& node, std::optional<std::int64_t>& seconds) {
  std::int64_t read = 0;
  read_duration(node, read);
  if (read > 0) seconds = read;
}

void LifecycleReader::read_true(const YamlNode& node, bool& value) {
  value = true;
  if (node.text != "true") fail(node.at, node.key + " is written " + node.key + ": true, or left out");
}

std::optional<std::uint64_t> LifecycleReader::read_number(const YamlNode& node, std::uint64_t lowest,
                                                          std::uint64_t highest) {
  const std::string& text = node.text;
  std::uint64_t number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (!text.empty() && failed == std::errc() && end == text.data() + text.size() && number >= lowest &&
      number <= highest)
    return number;
  fail(node.at, node.key + " must be a whole number from " + std::to_string(lowest) + " to " +
                    std::to_string(highest) + ", not " + in_quotes(text));
  return std::nullopt;
}

}  // namespace stele::policy
