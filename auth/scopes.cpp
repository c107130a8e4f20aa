#include "auth/scopes.hpp"

#include <algorithm>

namespace stele::auth {
namespace {

constexpr std::string_view catalog = "registry:catalog:*";

bool has_action(std::string_view actions, std::string_view wanted) {
  while (!actions.empty()) {
    const std::size_t comma = actions.find(',');
    const std::string_view action = actions.substr(0, comma);
    if (action == wanted || action == "*") return true;
    actions = comma == std::string_view::npos ? std::string_view() : actions.substr(comma + 1);
  }
  return false;
}

// Empty: it is none of a repository, or not for that right.
std::string_view repository_of(std::string_view scope, policy::Right right) {
  constexpr std::string_view type = "repository:";
  const std::size_t last = scope.rfind(':');
  if (!scope.starts_with(type) || last < type.size()) return {};
  if (!has_action(scope.substr(last + 1), to_string(right))) return {};
  return scope.substr(type.size(), last - type.size());
}

}  // namespace

bool scopes_leave(std::span<const std::string> scopes, policy::Right right, std::string_view repository) {
  return !repository.empty() && std::any_of(scopes.begin(), scopes.end(), [&](const std::string& scope) {
    return repository_of(scope, right) == repository;
  });
}

bool scopes_leave_somewhere(std::span<const std::string> scopes, policy::Right right) {
  return std::any_of(scopes.begin(), scopes.end(), [&](const std::string& scope) {
    return (right == policy::Right::pull && scope == catalog) || !repository_of(scope, right).empty();
  });
}

bool scopes_leave_everything(std::span<const std::string> scopes) {
  return std::find(scopes.begin(), scopes.end(), "registry:*:*") != scopes.end();
}

bool scopes_leave_the_list(std::span<const std::string> scopes) {
  return std::find(scopes.begin(), scopes.end(), catalog) != scopes.end();
}

}  // namespace stele::auth
