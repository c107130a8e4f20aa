#include "policy/access_reader.hpp"

#include <algorithm>

#include "base/printable.hpp"
#include "policy/pattern_texts.hpp"

namespace stele::policy {
namespace {

using config::YamlNode;

constexpr std::string_view access_rule_keys[] = {"name", "who", "repositories", "allow", "deny"};
constexpr std::string_view example =
    "{who: [\"group:dev\"], repositories: [\"team/**\"], allow: [pull, push]}";

// Those that a rule can give.
std::vector<std::string_view> right_names() {
  std::vector<std::string_view> names;
  for (int i = 0; i < right_count; ++i) {
    if (const auto right = static_cast<Right>(i); right != Right::upkeep) names.push_back(to_string(right));
  }
  return names;
}

// Whether the first speaks of whomever the second speaks of. `allowing`: an anonymous stands for everybody.
bool covers(const std::vector<Who>& wide, const std::vector<Who>& narrow, bool allowing) {
  return std::all_of(narrow.begin(), narrow.end(), [&](const Who& one) {
    return std::any_of(wide.begin(), wide.end(), [&](const Who& other) {
      return other.covers(one) || (allowing && other.kind() == Who::Kind::anonymous);
    });
  });
}

bool covers_repositories(const AccessRule& wide, const AccessRule& narrow) {
  return surely_covers(wide.repositories, narrow.repositories, PatternsOf::repositories);
}

}  // namespace

void AccessReader::read(const YamlNode& node) {
  section_ = node.key_at;
  rules.emplace();
  if (node.kind != YamlNode::Kind::sequence) {
    return fail(node.at,
                "access_rules must be a list of rules, not " + std::string(config::kind_name(node.kind)) +
                    "; without any, write [] (nobody may do anything over the network) or remove the "
                    "section (access is not limited by rules)");
  }
  for (const YamlNode& item : node.children) {
    if (item.kind == YamlNode::Kind::mapping) {
      read_rule(item);
    } else {
      fail(item.at, "a rule must be a mapping such as " + std::string(example));
    }
  }
}

void AccessReader::read_rule(const YamlNode& node) {
  AccessRule rule;
  rule.line = node.at.line;
  bool has_who = false, has_repositories = false, has_rights = false;
  TextPosition deny_at;
  for (const YamlNode& child : node.children) {
    if (child.key == "name") {
      (void)read_name(child, rule.name);
    } else if (child.key == "who") {
      has_who = true;
      read_who(child, rule.who);
    } else if (child.key == "repositories") {
      has_repositories = true;
      read_patterns(child, "repositories", rule.repositories);
    } else if (child.key == "allow") {
      has_rights = true;
      read_rights(child, rule.allow);
    } else if (child.key == "deny") {
      has_rights = true;
      deny_at = child.at;
      read_rights(child, rule.deny);
    } else {
      unknown_key(child, access_rule_keys, "in a rule of access_rules");
    }
  }
  const std::string shown = printable(rule.shown(rules->size()));
  if (!has_who) fail(node.at, shown + " lacks who: whom it speaks of, as in who: [\"group:dev\"]");
  if (!has_repositories)
    fail(node.at, shown +
                      " lacks repositories, as in [\"team/**\"]; for all of them, and for rights over the "
                      "whole server, write [\"**\"]");
  if (!has_rights) fail(node.at, shown + " says nothing; write allow: [pull], or deny");
  if (const Rights both = rule.allow.and_also(rule.deny); !both.empty())
    fail(deny_at, shown + " allows and denies " + to_string(both) + "; take it out of one of the two");
  places_.push_back(node.at);
  rules->push_back(std::move(rule));
}

void AccessReader::add_who(TextPosition at, Result<Who> who, std::vector<Who>& list) {
  if (!who) return fail(at, who.error().message());
  if (who->lacks_lasting_id()) {
    warn(at, "who: " + printable(who->to_string()) +
                 " names nothing that stays with one project: whoever gets its name after a renaming or a "
                 "removal gets its rights; add repository_id (GitHub) or project_id (GitLab)");
  }
  list.push_back(std::move(*who));
}

void AccessReader::read_who(const YamlNode& node, std::vector<Who>& list) {
  if (node.kind != YamlNode::Kind::sequence || node.children.empty()) {
    return fail(node.at,
                "who must be a list, as in [\"user:releaser\", \"group:dev\"], not " +
                    (node.kind == YamlNode::Kind::sequence ? std::string("an empty one")
                                                           : std::string(config::kind_name(node.kind))));
  }
  for (const YamlNode& item : node.children) {
    if (item.kind == YamlNode::Kind::mapping) {
      read_claims(item, list);
    } else if (read_text(item, "an entry of who")) {
      add_who(item.at, Who::parse(item.text), list);
    }
  }
}

void AccessReader::read_claims(const YamlNode& node, std::vector<Who>& list) {
  const YamlNode* issuer = nullptr;
  std::vector<Claim> claims;
  for (const YamlNode& child : node.children) {
    if (!read_text(child, printable(child.key))) return;
    if (child.key == "oidc") {
      issuer = &child;
    } else {
      claims.push_back({child.key, child.text});
    }
  }
  if (!issuer) {
    std::string advice;
    if (claims.size() == 1)
      advice = "; did you mean " + in_quotes(claims.front().name + ":" + claims.front().value) + "?";
    return fail(node.at,
                "a mapping in who names an issuer and claims that must all match, as in {oidc: "
                "github, repository_id: \"123\", ref: refs/heads/main}" +
                    advice);
  }
  add_who(node.at, Who::oidc(issuer->text, std::move(claims)), list);
}

void AccessReader::read_rights(const YamlNode& node, Rights& rights) {
  if (node.kind != YamlNode::Kind::sequence || node.children.empty()) {
    return fail(node.at,
                node.key + " must be a list of rights, as in [pull, push], not " +
                    (node.kind == YamlNode::Kind::sequence ? std::string("an empty one")
                                                           : std::string(config::kind_name(node.kind))));
  }
  const auto names = right_names();
  for (const YamlNode& item : node.children) {
    if (!read_text(item, "a right in " + node.key)) continue;
    const auto right = parse_right(item.text);
    if (right == Right::upkeep) {
      fail(item.at, "upkeep is for root and the server's user on the local socket; no rule can give it");
    } else if (!right) {
      std::string known;
      for (const std::string_view name : names) known += (known.empty() ? "" : ", ") + std::string(name);
      const std::string_view meant = config::nearest(item.text, names);
      fail(item.at,
           in_quotes(item.text) + " is no right" +
               (meant.empty() ? "; rights are " + known : "; did you mean " + in_quotes(meant) + "?"));
    } else {
      if (rights.has(*right)) warn(item.at, item.text + " stands in " + node.key + " twice");
      rights.add(*right);
    }
  }
}

void AccessReader::warn_of_idle_rights(const AccessRule& rule, TextPosition at) {
  if (rule.is_of_the_server()) return;
  Rights idle;
  for (int i = 0; i < right_count; ++i) {
    const auto right = static_cast<Right>(i);
    if (is_of_the_server(right) && (rule.allow.has(right) || rule.deny.has(right))) idle.add(right);
  }
  if (!idle.empty())
    warn(at, "of " + to_string(idle) +
                 " this rule never decides: that is asked over the whole server, and "
                 "counts in a rule with repositories: [\"**\"] alone");
}

void AccessReader::warn_of_covered(std::size_t number) {
  const AccessRule& rule = (*rules)[number];
  for (std::size_t i = 0; i < rules->size(); ++i) {
    const AccessRule& other = (*rules)[i];
    if (i == number || !covers_repositories(other, rule)) continue;
    if (!rule.allow.empty() && rule.allow.within(other.deny) && covers(other.who, rule.who, false)) {
      warn(places_[number], printable(rule.shown(number)) +
                                " never allows anything: " + printable(other.shown(i)) +
                                " denies all of it to the same, and deny beats "
                                "allow");
      return;
    }
    // Of two that say the same the later one is too much.
    const bool same = covers_repositories(rule, other) && rule.allow == other.allow &&
                      rule.deny == other.deny && covers(rule.who, other.who, !rule.allow.empty());
    if (same && i > number) continue;
    if (rule.allow.within(other.allow) && rule.deny.within(other.deny) &&
        covers(other.who, rule.who, rule.deny.empty())) {
      warn(places_[number], printable(rule.shown(number)) + " never decides anything: " +
                                printable(other.shown(i)) + " says all that it says; remove it");
      return;
    }
  }
}

// Not refused: root and the server's user have every right on the local socket, and the file is not changed
// over the network.
void AccessReader::warn_of_no_administrator() {
  const auto denied_to = [&](const AccessRule& giving) {
    return std::any_of(rules->begin(), rules->end(), [&](const AccessRule& rule) {
      return rule.deny.has(Right::admin) && covers_repositories(rule, giving) &&
             covers(rule.who, giving.who, false);
    });
  };
  const bool somebody = std::any_of(rules->begin(), rules->end(), [&](const AccessRule& rule) {
    return rule.allow.has(Right::admin) && rule.is_of_the_server() && !denied_to(rule);
  });
  if (!somebody) {
    warn(section_,
         "nobody has admin over the whole server (\"**\"): it is administered by root and the server's user "
         "on "
         "the local socket alone");
  }
}

void AccessReader::finish() {
  if (!rules || !no_problems()) return;
  warn_of_no_administrator();
  constexpr std::size_t worth_comparing = 2000;
  for (std::size_t i = 0; i < rules->size(); ++i) {
    warn_of_idle_rights((*rules)[i], places_[i]);
    if (rules->size() <= worth_comparing) warn_of_covered(i);
  }
}

}  // namespace stele::policy
