#include "policy/access_rules.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "policy/pattern.hpp"

namespace stele::policy {
namespace {

// Null: the list does not speak of the caller.
const Who* find_who(const AccessRule& rule, const Identity& identity, bool allowing) {
  for (const Who& who : rule.who) {
    if (who.matches(identity) || (allowing && who.kind() == Who::Kind::anonymous)) return &who;
  }
  return nullptr;
}

std::string listed(const std::vector<Who>& who) {
  std::string text;
  for (const Who& one : who) text += (text.empty() ? "" : ", ") + one.to_string();
  return text;
}

std::string listed(const std::vector<std::string>& patterns) {
  std::string text;
  for (const std::string& pattern : patterns) text += (text.empty() ? "" : ", ") + pattern;
  return text;
}

}  // namespace

struct AccessRules::Index {
  struct Entry {
    PatternList repositories;
    std::vector<PatternList> positives;  // each alone, in their order, for naming the one that matched
    std::vector<std::string_view> texts;
    bool of_the_server = false;

    bool covers(std::string_view repository) const {
      return repository.empty() ? of_the_server : repositories.matches(repository);
    }
  };
  std::vector<Entry> entries;
};

std::string AccessRule::shown(std::size_t index) const {
  return "rule " + (name.empty() ? std::to_string(index + 1) : name) + " (line " + std::to_string(line) + ")";
}

bool AccessRule::is_of_the_server() const {
  return std::find(repositories.begin(), repositories.end(), "**") != repositories.end() &&
         std::none_of(repositories.begin(), repositories.end(),
                      [](const std::string& pattern) { return pattern.starts_with('!'); });
}

std::string canonical_json(const AccessRule& rule) {
  using Json = nlohmann::ordered_json;
  Json json = Json::object();
  if (!rule.name.empty()) json["name"] = rule.name;
  json["who"] = Json::array();
  for (const Who& who : rule.who) json["who"].push_back(who.to_string());
  json["repositories"] = rule.repositories;
  const auto put = [&](const char* member, Rights rights) {
    if (rights.empty()) return;
    Json list = Json::array();
    for (int i = 0; i < right_count; ++i) {
      if (rights.has(static_cast<Right>(i))) list.push_back(to_string(static_cast<Right>(i)));
    }
    json[member] = std::move(list);
  };
  put("allow", rule.allow);
  put("deny", rule.deny);
  return json.dump();
}

AccessRules::AccessRules(std::vector<AccessRule> rules) : rules_(std::move(rules)) {
  auto index = std::make_unique<Index>();
  for (const AccessRule& rule : rules_) {
    Index::Entry entry{PatternList::of_checked(rule.repositories), {}, {}, rule.is_of_the_server()};
    for (const std::string& pattern : rule.repositories) {
      if (pattern.starts_with('!')) continue;
      entry.positives.push_back(PatternList::of_checked({pattern}));
      entry.texts.emplace_back(pattern);
    }
    index->entries.push_back(std::move(entry));
  }
  index_ = std::move(index);
}

AccessRules::~AccessRules() = default;

AccessDecision AccessRules::decide(const Identity& identity, Right right, std::string_view repository) const {
  const auto found = [&](AccessDecision::Outcome outcome, std::size_t rule, const Who* who) {
    AccessDecision decision{outcome, rule, who, {}};
    const Index::Entry& entry = index_->entries[rule];
    for (std::size_t i = 0; i < entry.positives.size() && !repository.empty(); ++i) {
      if (!entry.positives[i].matches(repository)) continue;
      decision.repository_pattern = entry.texts[i];
      break;
    }
    return decision;
  };
  for (const bool allowing : {false, true}) {
    for (std::size_t i = 0; i < rules_.size(); ++i) {
      if (!(allowing ? rules_[i].allow : rules_[i].deny).has(right)) continue;
      const Who* const who = find_who(rules_[i], identity, allowing);
      if (!who || !index_->entries[i].covers(repository)) continue;
      return found(allowing ? AccessDecision::Outcome::allowed : AccessDecision::Outcome::denied, i, who);
    }
  }
  return {};
}

bool AccessRules::perhaps_somewhere(const Identity& identity, Right right) const {
  bool allowed = false;
  for (const AccessRule& rule : rules_) {
    if (rule.deny.has(right) && rule.is_of_the_server() && find_who(rule, identity, false)) return false;
    allowed = allowed || (rule.allow.has(right) && find_who(rule, identity, true));
  }
  return allowed;
}

AccessRules::Sight AccessRules::sight_of(const Identity& identity, Rights any_of) const {
  Sight sight;
  sight.rules_ = this;
  for (int right = 0; right < right_count; ++right) {
    if (!any_of.has(static_cast<Right>(right))) continue;
    Sight::OfOneRight one;
    for (std::size_t i = 0; i < rules_.size(); ++i) {
      if (rules_[i].allow.has(static_cast<Right>(right)) && find_who(rules_[i], identity, true))
        one.allow.push_back(i);
      if (rules_[i].deny.has(static_cast<Right>(right)) && find_who(rules_[i], identity, false))
        one.deny.push_back(i);
    }
    sight.rights_.push_back(std::move(one));
  }
  return sight;
}

bool AccessRules::Sight::has(std::string_view repository) const {
  const auto covers = [&](std::size_t rule) { return rules_->index_->entries[rule].covers(repository); };
  return std::any_of(rights_.begin(), rights_.end(), [&](const OfOneRight& right) {
    return std::none_of(right.deny.begin(), right.deny.end(), covers) &&
           std::any_of(right.allow.begin(), right.allow.end(), covers);
  });
}

bool AccessRules::Sight::everywhere() const {
  return std::any_of(rights_.begin(), rights_.end(), [&](const OfOneRight& right) {
    return right.deny.empty() && std::any_of(right.allow.begin(), right.allow.end(), [&](std::size_t rule) {
             return rules_->index_->entries[rule].of_the_server;
           });
  });
}

std::vector<AccessNearMiss> AccessRules::near_misses(const Identity& identity, Right right,
                                                     std::string_view repository, std::size_t most) const {
  std::vector<AccessNearMiss> found;
  const std::string name(to_string(right));
  for (std::size_t i = 0; i < rules_.size() && found.size() < most; ++i) {
    const AccessRule& rule = rules_[i];
    if (rule.allow.empty()) continue;
    const bool gives = rule.allow.has(right);
    const bool there = index_->entries[i].covers(repository);
    const Who* const who = find_who(rule, identity, true);
    if (gives + there + (who != nullptr) != 2) continue;
    if (!who) {
      found.push_back({i, "it gives " + name + " there, but to " + listed(rule.who)});
    } else if (!gives) {
      found.push_back({i, "it speaks of " + who->to_string() + " there, but gives " + to_string(rule.allow)});
    } else if (repository.empty()) {
      found.push_back({i, "it gives " + name + " to " + who->to_string() + ", but in " +
                              listed(rule.repositories) + " and not for the server, which is \"**\""});
    } else {
      found.push_back(
          {i, "it gives " + name + " to " + who->to_string() + ", but in " + listed(rule.repositories)});
    }
  }
  return found;
}

}  // namespace stele::policy
