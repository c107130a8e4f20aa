#pragma once
// What the commands about robots and about tokens have in common: scopes, an end, a reason, and how an answer
// is said.

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "cli/server_link.hpp"

namespace CLI {
class App;
}

namespace stele {

struct SecretOptions {
  ServerLink link;
  std::string name;
  std::vector<std::string> scopes;
  std::string expires;
  std::string reason;

  // Each adds its option to the command; the options outlive it.
  void add_scope(CLI::App&);
  void add_expires(CLI::App&);
  void add_reason(CLI::App&);

  // The body of a request that has a reason or none.
  nlohmann::ordered_json with_reason() const;
  // The answer as JSON where that was asked for, and otherwise the sentence.
  void say(const nlohmann::ordered_json& answer, const std::string& sentence) const;
};

// Of a robot or a token: "team/**:pull prod/**:pull".
std::string scopes_shown(const nlohmann::ordered_json& row);

}  // namespace stele
