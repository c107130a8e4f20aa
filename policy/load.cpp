#include "policy/load.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <stdexcept>

#include "base/printable.hpp"
#include "base/yaml_document.hpp"
#include "policy/pattern.hpp"

namespace stele::policy {
namespace {

using config::nearest;
using config::YamlNode;

constexpr std::string_view sections[] = {"version", "tag_rules", "default"};
constexpr std::string_view later_sections[] = {"pull_rules", "access_rules", "lifecycle", "lifecycle_rules"};
constexpr std::string_view rule_keys[] = {"name",       "repositories", "tags",     "mutability",
                                          "forward_by", "delete",       "lifecycle"};
constexpr std::string_view default_keys[] = {"mutability", "forward_by", "delete", "lifecycle"};
constexpr std::size_t longest_name = 64;

std::string_view kind_name(YamlNode::Kind kind) {
  switch (kind) {
    case YamlNode::Kind::null:
      return "nothing";
    case YamlNode::Kind::scalar:
      return "a single value";
    case YamlNode::Kind::sequence:
      return "a list";
    case YamlNode::Kind::mapping:
      return "a mapping";
  }
  return "something else";
}

bool contains(const std::vector<std::string>& list, std::string_view text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

// Does the first list match whatever the second matches? Judged by their texts: a "no" may be wrong, a "yes"
// is not.
bool covers(const std::vector<std::string>& wide, const std::vector<std::string>& narrow, bool of_tags) {
  for (const std::string& pattern : wide) {
    if (pattern.starts_with('!') && !contains(narrow, pattern)) return false;
  }
  // A tag has no "/": for it "*" is everything.
  if (contains(wide, "**") || (of_tags && contains(wide, "*"))) return true;
  return std::all_of(narrow.begin(), narrow.end(), [&](const std::string& pattern) {
    return pattern.starts_with('!') || contains(wide, pattern);
  });
}

bool covers(const TagRule& wide, const TagRule& narrow) {
  return covers(wide.repositories, narrow.repositories, false) && covers(wide.tags, narrow.tags, true);
}

bool same_verdict(const TagRule& a, const TagRule& b) {
  return a.mutability == b.mutability && a.may_delete == b.may_delete &&
         a.lifecycle_protects == b.lifecycle_protects &&
         (a.mutability != Mutability::forward_only || a.forward_by == b.forward_by);
}

class Reader {
 public:
  explicit Reader(std::string_view file) : file_(file) {}

  Loaded read(std::string_view text) {
    YamlNode root;
    if (config::parse_yaml(text, file_, root, loaded_.problems)) read_root(root);
    loaded_.problems.sort(file_);
    loaded_.warnings.sort(file_);
    if (loaded_.problems.empty()) make_policy(text);
    return std::move(loaded_);
  }

 private:
  void make_policy(std::string_view text) {
    try {
      loaded_.policy =
          std::make_shared<const Policy>(std::move(rules_), std::move(otherwise_), std::string(text));
    } catch (const std::invalid_argument& refused) {
      fail({}, refused.what());  // each pattern is good, all together are too many
    }
  }

  void fail(TextPosition at, std::string message) { loaded_.problems.add(file_, at, std::move(message)); }
  void warn(TextPosition at, std::string message) { loaded_.warnings.add(file_, at, std::move(message)); }

  void read_root(const YamlNode& root) {
    if (root.kind != YamlNode::Kind::mapping)
      return fail(root.at, "a policy is a mapping with version: 1 and tag_rules, not " +
                               std::string(kind_name(root.kind)));
    bool has_version = false;
    for (const YamlNode& child : root.children) {
      if (child.key == "version") {
        has_version = true;
        if (child.text != "1") fail(child.at, "version must be 1, the only version of this format");
      } else if (child.key == "tag_rules") {
        read_tag_rules(child);
      } else if (child.key == "default") {
        read_default(child);
      } else if (std::find(std::begin(later_sections), std::end(later_sections), child.key) !=
                 std::end(later_sections)) {
        fail(child.key_at,
             child.key +
                 " is not enforced by this version, and a rule that is not enforced is worse than none; "
                 "remove the section");
      } else {
        unknown_key(child, sections, "in a policy");
      }
    }
    if (!has_version) fail({1, 1}, "version is missing; begin the file with version: 1");
    find_unreachable();
  }

  template <std::size_t N>
  void unknown_key(const YamlNode& child, const std::string_view (&known)[N], const std::string& where) {
    std::string message = "unknown key " + in_quotes(child.key) + " " + where;
    const std::string_view meant = nearest(child.key, known);
    if (!meant.empty()) message += "; did you mean " + in_quotes(meant) + "?";
    fail(child.key_at, std::move(message));
  }

  void read_tag_rules(const YamlNode& node) {
    rules_.clear();
    if (node.kind == YamlNode::Kind::null) return;
    if (node.kind != YamlNode::Kind::sequence)
      return fail(node.at, "tag_rules must be a list of rules, not " + std::string(kind_name(node.kind)));
    for (const YamlNode& item : node.children) {
      if (item.kind != YamlNode::Kind::mapping) {
        fail(item.at,
             "a rule must be a mapping such as {name: releases, tags: [\"@semver\"], mutability: immutable}");
        continue;
      }
      TagRule rule;
      read_rule(item, rule, true);
      places_.push_back(item.at);
      rules_.push_back(std::move(rule));
    }
  }

  void read_default(const YamlNode& node) {
    if (node.kind != YamlNode::Kind::mapping)
      return fail(node.at, "default must be a mapping such as {mutability: mutable}, not " +
                               std::string(kind_name(node.kind)));
    read_rule(node, otherwise_, false);
  }

  // A member of tag_rules, or the default, which has neither name nor patterns.
  void read_rule(const YamlNode& node, TagRule& rule, bool named) {
    std::optional<bool> may_delete, protects;
    const YamlNode* forward_by = nullptr;
    bool has_mutability = false, has_tags = false, has_name = false;
    for (const YamlNode& child : node.children) {
      if (named && child.key == "name") {
        has_name = read_name(child, rule.name);
      } else if (named && child.key == "repositories") {
        read_patterns(child, "repositories", rule.repositories);
      } else if (named && child.key == "tags") {
        has_tags = true;
        read_patterns(child, "tags", rule.tags);
      } else if (child.key == "mutability") {
        has_mutability = true;
        read_mutability(child, rule.mutability);
      } else if (child.key == "forward_by") {
        forward_by = &child;
        read_forward_by(child, rule.forward_by);
      } else if (child.key == "delete") {
        may_delete = read_either(child, "allow", "deny");
      } else if (child.key == "lifecycle") {
        protects = read_either(child, "protect", "allow");
      } else if (child.key == "lock") {
        fail(child.key_at,
             "lock is not enforced by this version, and a lock that does not hold is worse than none");
      } else if (named) {
        unknown_key(child, rule_keys, "in a rule of tag_rules");
      } else {
        unknown_key(child, default_keys, "in default");
      }
    }
    if (named && !has_name) {
      if (std::none_of(node.children.begin(), node.children.end(),
                       [](const YamlNode& child) { return child.key == "name"; }))
        fail(node.at,
             "a rule lacks its name, which stands in every refusal; write name: releases, for example");
    }
    const std::string shown = named ? "rule " + printable(rule.name) : "default";
    if (named && !has_tags) fail(node.at, shown + " lacks tags; to match all, write tags: [\"**\"]");
    if (!has_mutability)
      fail(node.at, shown + " lacks mutability; write mutable, immutable, forward-only or append-only");
    if (forward_by && has_mutability && rule.mutability != Mutability::forward_only)
      fail(forward_by->key_at, "forward_by goes with mutability: forward-only; " + shown + " is " +
                                   std::string(to_string(rule.mutability)));
    rule.may_delete = may_delete.value_or(deletes_by_default(rule.mutability));
    rule.lifecycle_protects = protects.value_or(protects_by_default(rule.mutability));
    if (rule.mutability == Mutability::immutable && may_delete == true) {
      warn(node.at, shown +
                        " lets immutable tags be deleted: the names stay bound, and only the same digest can "
                        "come back");
    }
  }

  bool read_text(const YamlNode& node, const std::string& what) {
    if (node.kind == YamlNode::Kind::scalar && !node.text.empty() &&
        find_unprintable(node.text) == std::string_view::npos &&
        node.text.find_first_of("\t\r\n") == std::string::npos)
      return true;
    if (node.kind == YamlNode::Kind::scalar && !node.text.empty()) {
      fail(node.at, what + " contains a control character or bytes that are not UTF-8");
    } else {
      fail(node.at, what + " must be a single value, not " +
                        (node.kind == YamlNode::Kind::scalar ? std::string("an empty one")
                                                             : std::string(kind_name(node.kind))));
    }
    return false;
  }

  bool read_name(const YamlNode& node, std::string& name) {
    if (!read_text(node, "name")) return false;
    if (node.text.size() > longest_name) {
      fail(node.at, "name is longer than " + std::to_string(longest_name) + " bytes");
      return false;
    }
    if (node.text == "default") {
      fail(node.at, "the name default is that of the rule for everything else; choose another");
      return false;
    }
    const auto [known, fresh] = names_.emplace(node.text, node.at.line);
    if (!fresh) {
      fail(node.at, "rule " + printable(node.text) + " already stands in line " +
                        std::to_string(known->second) +
                        "; refusals name the rule, so each needs a name of its own");
      return false;
    }
    name = node.text;
    return true;
  }

  void read_patterns(const YamlNode& node, const std::string& what, std::vector<std::string>& patterns) {
    patterns.clear();
    if (node.kind != YamlNode::Kind::sequence)
      return fail(node.at, what + " must be a list of patterns, not " + std::string(kind_name(node.kind)));
    bool positive = false, good = true;
    for (const YamlNode& item : node.children) {
      if (!read_text(item, "a pattern in " + what)) {
        good = false;
        continue;
      }
      if (const auto compiled = PatternList::compile({item.text}); !compiled) {
        fail(item.at, compiled.error().message());
        good = false;
        continue;
      }
      positive = positive || !item.text.starts_with('!');
      if (contains(patterns, item.text))
        warn(item.at, "pattern " + in_quotes(item.text) + " stands in the list twice");
      patterns.push_back(item.text);
    }
    if (good && !positive)
      fail(node.at, what + " names nothing that it matches; to match all, write " + what +
                        ": [\"**\"], with exclusions behind it");
  }

  void read_mutability(const YamlNode& node, Mutability& mutability) {
    constexpr Mutability all[] = {Mutability::free, Mutability::immutable, Mutability::forward_only,
                                  Mutability::append_only};
    for (const Mutability value : all) {
      if (node.text != to_string(value)) continue;
      mutability = value;
      return;
    }
    constexpr std::string_view words[] = {"immutable", "mutable", "forward-only", "append-only"};
    const std::string_view meant = nearest(node.text, words);
    fail(node.at, "mutability must be mutable, immutable, forward-only or append-only, not " +
                      in_quotes(node.text) +
                      (meant.empty() ? "" : "; did you mean " + in_quotes(meant) + "?"));
  }

  void read_forward_by(const YamlNode& node, ForwardBy& by) {
    if (node.text == "version") {
      by = ForwardBy::version;
    } else if (node.text == "created") {
      by = ForwardBy::created;
    } else {
      fail(node.at, "forward_by must be version or created, not " + in_quotes(node.text));
    }
  }

  // True for `yes`; nothing after a complaint.
  std::optional<bool> read_either(const YamlNode& node, std::string_view yes, std::string_view no) {
    if (node.text == yes) return true;
    if (node.text == no) return false;
    fail(node.at, node.key + " must be " + std::string(yes) + " or " + std::string(no) + ", not " +
                      in_quotes(node.text));
    return std::nullopt;
  }

  // A rule that an earlier one covers never decides anything.
  void find_unreachable() {
    if (!loaded_.problems.empty() || places_.size() != rules_.size()) return;
    constexpr std::size_t worth_comparing = 2000;
    if (rules_.size() > worth_comparing) return;
    for (std::size_t later = 1; later < rules_.size(); ++later) {
      for (std::size_t earlier = 0; earlier < later; ++earlier) {
        if (!covers(rules_[earlier], rules_[later])) continue;
        const bool contradicts = !same_verdict(rules_[earlier], rules_[later]);
        warn(
            places_[later],
            "rule " + rules_[later].name + " never decides: rule " + rules_[earlier].name + " in line " +
                std::to_string(places_[earlier].line) + " matches all that it matches" +
                (contradicts ? ", and says otherwise (" + std::string(to_string(rules_[earlier].mutability)) +
                                   "); the first one counts, so put the narrower rule first"
                             : "; remove one of them"));
        break;
      }
    }
  }

  const std::string_view file_;
  Loaded loaded_;
  std::vector<TagRule> rules_ = built_in_rules();
  TagRule otherwise_ = built_in_default();
  std::vector<TextPosition> places_;
  std::map<std::string, int> names_;
};

}  // namespace

Loaded load_policy(std::string_view text, std::string_view file) {
  return Reader(file).read(text);
}

}  // namespace stele::policy
