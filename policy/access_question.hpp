#pragma once
// "May user:releaser push to prod/app?", as people and programs put it, and the answer with its reason.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/identity.hpp"
#include "base/result.hpp"
#include "policy/access_rules.hpp"
#include "policy/right.hpp"
#include "policy/rules.hpp"

namespace stele::policy {

// Where the caller's groups are from.
enum class GroupsFrom {
  request,  // they are those that were named
  server,   // what the server knows of the user
  nobody,   // none were named, and nobody of this name logs in
};

struct AccessQuestion {
  Identity caller;
  GroupsFrom groups_from = GroupsFrom::request;
  Right right = Right::pull;
  std::string repository;  // empty: the whole server
};

// As texts. `who`: user:NAME, robot:NAME, cert:NAME, oidc:ISSUER or anonymous; claims, NAME=VALUE, go with
// oidc. An empty repository: the whole server. parameter_invalid, name_invalid.
struct AccessWords {
  std::string who;
  std::vector<std::string> groups;
  std::vector<std::string> claims;
  std::string action;
  std::string repository;
};
Result<AccessQuestion> read_question(const AccessWords&);

// A JSON object: who, groups, groups_from, action, repository, policy, allowed, decided_by ("rule", "no
// rule", "no access rules", "robot scopes": those of the caller do not leave it), rule, through,
// repository_pattern, near. `without_rules`: what holds when the policy has no access rules; nothing: not
// known here.
std::string answer_json(const Policy&, const AccessQuestion&, std::optional<bool> without_rules);

}  // namespace stele::policy
