#include "policy/access_question.hpp"

#include <nlohmann/json.hpp>

#include "base/printable.hpp"
#include "base/reference.hpp"
#include "policy/issuers.hpp"

namespace stele::policy {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t most_parts = 100;
constexpr std::string_view oidc = "oidc:";

Error invalid(const std::string& why) {
  return Error(Errc::parameter_invalid, why);
}

bool is_caller(std::string_view who) {
  if (who == "anonymous") return true;
  for (const std::string_view kind :
       {std::string_view("user:"), std::string_view("robot:"), std::string_view("cert:"), oidc}) {
    if (who.starts_with(kind) && who.size() > kind.size()) return is_printable_line(who);
  }
  return false;
}

Json rule_json(const AccessRule& rule, std::size_t index) {
  Json json = Json::parse(canonical_json(rule));
  json["number"] = index + 1;
  json["line"] = rule.line;
  return json;
}

std::string_view to_string(GroupsFrom from) {
  switch (from) {
    case GroupsFrom::request:
      return "request";
    case GroupsFrom::server:
      return "server";
    case GroupsFrom::nobody:
      return "nobody";
  }
  return "unknown";
}

Json text_or_null(std::string_view text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

}  // namespace

Result<AccessQuestion> read_question(const AccessWords& words) {
  AccessQuestion question;
  if (!is_caller(words.who)) {
    return invalid("who must be user:NAME, robot:NAME, cert:NAME, oidc:ISSUER or anonymous, not " +
                   in_quotes(words.who));
  }
  question.caller.principal = Principal(words.who);
  if (words.groups.size() > most_parts || words.claims.size() > most_parts)
    return invalid("at most 100 groups and 100 claims may be named");
  for (const std::string& group : words.groups)
    question.caller.groups.push_back(group.starts_with("group:") ? group.substr(6) : group);
  const bool by_token = words.who.starts_with(oidc);
  if (!by_token && !words.claims.empty()) return invalid("claims go with oidc:ISSUER");
  if (by_token)
    question.caller.issuer = std::string(issuer_url(std::string_view(words.who).substr(oidc.size())));
  for (const std::string& text : words.claims) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0)
      return invalid("a claim is NAME=VALUE, as in repository_id=123, not " + in_quotes(text));
    question.caller.claims.push_back({text.substr(0, equals), text.substr(equals + 1)});
  }
  const auto right = parse_right(words.action);
  if (!right || *right == Right::upkeep) {
    std::string known;
    for (int i = 0; i + 1 < right_count; ++i)
      known += (i == 0 ? "" : ", ") + std::string(to_string(static_cast<Right>(i)));
    return invalid("the action must be a right, not " + in_quotes(words.action) + "; rights are " + known);
  }
  question.right = *right;
  if (!words.repository.empty()) {
    const auto name = RepositoryName::parse(words.repository);
    if (!name) return name.error();
    question.repository = words.repository;
  }
  return question;
}

std::string answer_json(const Policy& policy, const AccessQuestion& question,
                        std::optional<bool> without_rules) {
  Json body{{"who", question.caller.principal.name()},
            {"groups", question.caller.groups},
            {"groups_from", to_string(question.groups_from)},
            {"action", to_string(question.right)},
            {"repository", text_or_null(question.repository)},
            {"policy", policy.hash()},
            {"allowed", nullptr},
            {"decided_by", "no access rules"},
            {"rule", nullptr},
            {"through", nullptr},
            {"repository_pattern", nullptr},
            {"near", Json::array()}};
  const auto& rules = policy.access();
  const auto& limits = question.caller.limits;
  const bool left = !limits || limits->decide(question.caller, question.right, question.repository).allowed();
  if (!left) {
    body["allowed"] = false;
    body["decided_by"] = "robot scopes";
    return body.dump();
  }
  if (!rules) {
    if (without_rules) body["allowed"] = *without_rules;
    return body.dump();
  }
  const AccessDecision decision = rules->decide(question.caller, question.right, question.repository);
  body["allowed"] = decision.allowed();
  if (decision.outcome == AccessDecision::Outcome::unmatched) {
    body["decided_by"] = "no rule";
    for (const AccessNearMiss& miss :
         rules->near_misses(question.caller, question.right, question.repository)) {
      body["near"].push_back(
          Json{{"rule", rule_json(rules->rules()[miss.rule], miss.rule)}, {"why", miss.why}});
    }
    return body.dump();
  }
  body["decided_by"] = "rule";
  body["rule"] = rule_json(rules->rules()[decision.rule], decision.rule);
  body["through"] = decision.who->to_string();
  body["repository_pattern"] = text_or_null(decision.repository_pattern);
  return body.dump();
}

}  // namespace stele::policy
