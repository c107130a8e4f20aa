#include "cli/secret_options.hpp"

#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>

namespace stele {

void SecretOptions::add_scope(CLI::App& command) {
  command
      .add_option("--scope", scopes,
                  "What it is limited to, as in 'team/**:pull,push'; may be repeated. The policy's "
                  "access_rules decide within")
      ->type_name("PATTERN:RIGHT,…")
      ->allow_extra_args(false)
      ->required();
}

void SecretOptions::add_expires(CLI::App& command) {
  command
      .add_option("--expires", expires, "After 90d (which is the default), at 2027-01-31T00:00:00Z, or never")
      ->type_name("WHEN");
}

void SecretOptions::add_reason(CLI::App& command) {
  command.add_option("--reason", reason, "Kept in the record");
}

nlohmann::ordered_json SecretOptions::with_reason() const {
  auto body = nlohmann::ordered_json::object();
  if (!reason.empty()) body["reason"] = reason;
  return body;
}

void SecretOptions::say(const nlohmann::ordered_json& answer, const std::string& sentence) const {
  std::cout << (link.json ? answer.dump(2) : sentence) << '\n';
}

std::string scopes_shown(const nlohmann::ordered_json& row) {
  std::string scopes;
  for (const auto& scope : row["scopes"])
    scopes += (scopes.empty() ? "" : " ") + shown(scope.get<std::string>());
  return scopes;
}

}  // namespace stele
