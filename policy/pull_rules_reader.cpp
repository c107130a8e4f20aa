#include "policy/pull_rules_reader.hpp"

#include <algorithm>

#include "base/printable.hpp"
#include "policy/pattern_texts.hpp"

namespace stele::policy {
namespace {

using config::YamlNode;

constexpr std::string_view pull_rule_keys[] = {"name", "principals", "repositories", "require"};
constexpr std::string_view requirements[] = {"pinned"};

}  // namespace

void PullRulesReader::read(const YamlNode& node) {
  if (node.kind == YamlNode::Kind::null) return;
  if (node.kind != YamlNode::Kind::sequence)
    return fail(node.at,
                "pull_rules must be a list of rules, not " + std::string(config::kind_name(node.kind)));
  for (const YamlNode& item : node.children) {
    if (item.kind == YamlNode::Kind::mapping) {
      read_rule(item);
    } else {
      fail(item.at,
           "a rule must be a mapping such as {name: prod-pins, principals: [\"robot:k8s-*\"], repositories: "
           "[\"prod/**\"], require: pinned}");
    }
  }
}

void PullRulesReader::read_rule(const YamlNode& node) {
  PullRule rule;
  bool has_name = false, has_principals = false, has_repositories = false, has_requirement = false;
  for (const YamlNode& child : node.children) {
    if (child.key == "name") {
      has_name = read_name(child, rule.name);
    } else if (child.key == "principals") {
      has_principals = true;
      read_patterns(child, "principals", rule.principals);
    } else if (child.key == "repositories") {
      has_repositories = true;
      read_patterns(child, "repositories", rule.repositories);
    } else if (child.key == "require") {
      has_requirement = true;
      read_word(child, requirements);
    } else {
      unknown_key(child, pull_rule_keys, "in a rule of pull_rules");
    }
  }
  if (!has_name) complain_of_missing_name(node);
  const std::string shown = "rule " + printable(rule.name);
  if (!has_principals)
    fail(node.at, shown + " lacks principals: who must pull pinned, as in [\"robot:k8s-prod-*\"]");
  if (!has_repositories) fail(node.at, shown + " lacks repositories, as in [\"prod/**\"]");
  if (!has_requirement) fail(node.at, shown + " lacks what it requires; write require: pinned");
  places_.push_back(node.at);
  rules.push_back(std::move(rule));
}

void PullRulesReader::finish(const std::vector<AccessRule>* access) {
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const std::string binds = "rule " + printable(rules[i].name) + " binds anonymous pulls too, which ";
    if (!access) {
      warn(places_[i], binds + "everybody may make while there are no access rules");
      continue;
    }
    const auto lets_in = [&](const AccessRule& rule) {
      return rule.allow.has(Right::pull) && !surely_apart(rule.repositories, rules[i].repositories) &&
             std::any_of(rule.who.begin(), rule.who.end(),
                         [](const Who& who) { return who.kind() == Who::Kind::anonymous; });
    };
    const auto rule = std::find_if(access->begin(), access->end(), lets_in);
    if (rule == access->end()) continue;
    warn(places_[i], binds + printable(rule->shown(static_cast<std::size_t>(rule - access->begin()))) +
                         " of access_rules allows");
  }
}

}  // namespace stele::policy
