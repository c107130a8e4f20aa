#pragma once
// What a client asks a token for: the `scope` parameters of the distribution project's token specification.

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace stele::auth {

// A value. The union of all that was asked for; what is not understood is left out (it grants nothing).
struct AskedScope {
  static constexpr std::size_t max_repositories = 256;
  std::map<std::string, std::set<std::string>> repositories;  // name: of pull, push, delete and *
  bool catalog = false;                                       // the list of repositories
  bool everything = false;  // "registry:*:*", as this registry's own tools ask: the token is not limited

  // Adds one parameter's value: scopes, separated by spaces. Each is split at its first and its last colon.
  // Who asks to push is granted to delete as well, if he may: clients that delete ask for no more.
  void add(std::string_view value);
  // One scope, and nothing beside what it says.
  void add_exactly(std::string_view scope);
};

// "repository:a/b:pull,push", "registry:catalog:*", or "registry:*:*" alone for everything; "none" when there
// is nothing, which limits to nothing.
std::vector<std::string> to_scopes(const AskedScope&);

}  // namespace stele::auth
