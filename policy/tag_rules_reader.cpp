#include "policy/tag_rules_reader.hpp"

#include <algorithm>
#include <optional>

#include "base/printable.hpp"
#include "policy/pattern_texts.hpp"

namespace stele::policy {
namespace {

using config::YamlNode;

constexpr std::string_view tag_rule_keys[] = {"name",       "repositories", "tags",      "mutability",
                                              "forward_by", "delete",       "lifecycle", "lock"};
constexpr std::string_view default_keys[] = {"mutability", "forward_by", "delete", "lifecycle", "lock"};
constexpr std::string_view lock_keys[] = {"for", "mode"};
constexpr std::string_view lock_modes[] = {"governance", "compliance"};
constexpr std::string_view forward_by_words[] = {"version", "created"};
// The likelier one first: what is as near to both was meant to be stricter.
constexpr std::string_view mutabilities[] = {"immutable", "mutable", "forward-only", "append-only"};

bool covers(const TagRule& wide, const TagRule& narrow) {
  return surely_covers(wide.repositories, narrow.repositories, PatternsOf::repositories) &&
         surely_covers(wide.tags, narrow.tags, PatternsOf::tags);
}

bool same_verdict(const TagRule& a, const TagRule& b) {
  return a.mutability == b.mutability && a.may_delete == b.may_delete &&
         a.lifecycle_protects == b.lifecycle_protects && a.lock == b.lock &&
         (a.mutability != Mutability::forward_only || a.forward_by == b.forward_by);
}

}  // namespace

void TagRulesReader::read_tag_rules(const YamlNode& node) {
  rules.clear();
  if (node.kind == YamlNode::Kind::null) return;
  if (node.kind != YamlNode::Kind::sequence)
    return fail(node.at,
                "tag_rules must be a list of rules, not " + std::string(config::kind_name(node.kind)));
  for (const YamlNode& item : node.children) {
    if (item.kind != YamlNode::Kind::mapping) {
      fail(item.at,
           "a rule must be a mapping such as {name: releases, tags: [\"@semver\"], mutability: immutable}");
      continue;
    }
    TagRule rule;
    read_rule(item, rule, true);
    places_.push_back(item.at);
    rules.push_back(std::move(rule));
  }
}

void TagRulesReader::read_default(const YamlNode& node) {
  if (node.kind != YamlNode::Kind::mapping)
    return fail(node.at, "default must be a mapping such as {mutability: mutable}, not " +
                             std::string(config::kind_name(node.kind)));
  read_rule(node, otherwise, false);
}

// A member of tag_rules, or the default, which has neither name nor patterns.
void TagRulesReader::read_rule(const YamlNode& node, TagRule& rule, bool named) {
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
      rule.forward_by =
          read_word(child, forward_by_words) == "created" ? ForwardBy::created : ForwardBy::version;
    } else if (child.key == "delete") {
      may_delete = read_either(child, "allow", "deny");
    } else if (child.key == "lifecycle") {
      protects = read_either(child, "protect", "allow");
    } else if (child.key == "lock") {
      read_lock(child, rule.lock);
    } else if (named) {
      unknown_key(child, tag_rule_keys, "in a rule of tag_rules");
    } else {
      unknown_key(child, default_keys, "in default");
    }
  }
  if (named && !has_name) complain_of_missing_name(node);
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

void TagRulesReader::read_mutability(const YamlNode& node, Mutability& mutability) {
  const std::string word = read_word(node, mutabilities);
  constexpr Mutability all[] = {Mutability::free, Mutability::immutable, Mutability::forward_only,
                                Mutability::append_only};
  for (const Mutability value : all) {
    if (word == to_string(value)) mutability = value;
  }
}

std::optional<bool> TagRulesReader::read_either(const YamlNode& node, std::string_view yes,
                                                std::string_view no) {
  const std::string_view words[] = {yes, no};
  const std::string word = read_word(node, words);
  if (word.empty()) return std::nullopt;
  return word == yes;
}

void TagRulesReader::read_lock(const YamlNode& node, std::optional<Lock>& lock) {
  if (node.kind != YamlNode::Kind::mapping)
    return fail(node.at, "lock must be a mapping such as {for: 7y, mode: compliance}, not " +
                             std::string(config::kind_name(node.kind)));
  Lock read;
  bool has_time = false, has_mode = false;
  for (const YamlNode& child : node.children) {
    if (child.key == "for") {
      has_time = true;
      read_duration(child, read.seconds);
    } else if (child.key == "mode") {
      has_mode = true;
      read.mode = read_word(child, lock_modes) == "compliance" ? LockMode::compliance : LockMode::governance;
    } else {
      unknown_key(child, lock_keys, "in lock");
    }
  }
  if (!has_time) fail(node.at, "lock lacks its time; write for: 7y, for example");
  if (!has_mode) fail(node.at, "lock lacks its mode; write governance or compliance");
  lock = read;
}

void TagRulesReader::find_unreachable() {
  if (!no_problems() || places_.size() != rules.size()) return;
  constexpr std::size_t worth_comparing = 2000;
  if (rules.size() > worth_comparing) return;
  for (std::size_t later = 1; later < rules.size(); ++later) {
    for (std::size_t earlier = 0; earlier < later; ++earlier) {
      if (!covers(rules[earlier], rules[later])) continue;
      const bool contradicts = !same_verdict(rules[earlier], rules[later]);
      warn(places_[later],
           "rule " + rules[later].name + " never decides: rule " + rules[earlier].name + " in line " +
               std::to_string(places_[earlier].line) + " matches all that it matches" +
               (contradicts ? ", and says otherwise (" + std::string(to_string(rules[earlier].mutability)) +
                                  "); the first one counts, so put the narrower rule first"
                            : "; remove one of them"));
      break;
    }
  }
}

}  // namespace stele::policy
