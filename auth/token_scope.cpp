#include "auth/token_scope.hpp"

#include "base/reference.hpp"

namespace stele::auth {
namespace {

// The type without its class: "repository(plugin)" is no type that Stele has.
void add_one(AskedScope& asked, std::string_view scope, bool with_delete) {
  const std::size_t first = scope.find(':'), last = scope.rfind(':');
  if (first == std::string_view::npos || first == last) return;
  const std::string_view type = scope.substr(0, first);
  const std::string name(scope.substr(first + 1, last - first - 1));
  std::string_view actions = scope.substr(last + 1);
  if (type == "registry" && name == "catalog" && actions == "*") asked.catalog = true;
  if (type == "registry" && name == "*" && actions == "*") asked.everything = true;
  if (type != "repository" || !RepositoryName::parse(name).has_value()) return;
  std::set<std::string> known;
  while (!actions.empty()) {
    const std::size_t comma = actions.find(',');
    const std::string_view action = actions.substr(0, comma);
    actions = comma == std::string_view::npos ? std::string_view() : actions.substr(comma + 1);
    if (action == "pull" || action == "push" || action == "delete" || action == "*") known.emplace(action);
    if (action == "push" && with_delete) known.emplace("delete");
  }
  if (known.empty()) return;
  if (asked.repositories.size() >= AskedScope::max_repositories && !asked.repositories.contains(name)) return;
  asked.repositories[name].merge(known);
}

}  // namespace

void AskedScope::add(std::string_view value) {
  while (!value.empty()) {
    const std::size_t space = value.find(' ');
    add_one(*this, value.substr(0, space), true);
    value = space == std::string_view::npos ? std::string_view() : value.substr(space + 1);
  }
}

void AskedScope::add_exactly(std::string_view scope) {
  add_one(*this, scope, false);
}

std::vector<std::string> to_scopes(const AskedScope& asked) {
  std::vector<std::string> scopes;
  if (asked.everything) return {"registry:*:*"};
  for (const auto& [name, actions] : asked.repositories) {
    if (actions.empty()) continue;
    std::string list;
    for (const std::string& action : actions) list += (list.empty() ? "" : ",") + action;
    scopes.push_back("repository:" + name + ":" + list);
  }
  if (asked.catalog) scopes.emplace_back("registry:catalog:*");
  if (scopes.empty()) scopes.emplace_back("none");
  return scopes;
}

}  // namespace stele::auth
