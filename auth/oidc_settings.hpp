#pragma once
// The section `auth.oidc` of the configuration, read by the room that it belongs to.

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/identity.hpp"
#include "config/config_problem.hpp"
#include "config/yaml_document.hpp"

namespace stele::auth {

// One issuer whose ID tokens are accepted: an entry of `auth.oidc`.
struct OidcSettings {
  std::string name;       // for logs and events: "oidc:<name>:<sub>"
  std::string issuer;     // its URL, exactly as tokens have it
  std::string audience;   // that a token must be for
  std::string jwks_file;  // its keys; empty: it is asked for them
  // What a token must say to be accepted at all, as in rules: all of them. Empty: any of this issuer's is.
  std::vector<Claim> claims;
  std::chrono::seconds session = std::chrono::hours(1);  // of a CI job that logged in; 0: there are none
  std::chrono::seconds leeway{60};                       // by which the issuer's clock may differ
  std::string ca;                                        // PEM
  std::string proxy;

  // By hand: a claim has no comparison.
  bool operator==(const OidcSettings&) const;
};

// In YAML's flow form, on one line, without what has its default; read_oidc takes it back unchanged.
std::string print_oidc(const std::vector<OidcSettings>& issuers);

// Reads the list; false after a complaint. Reads no file.
bool read_oidc(const config::YamlNode& node, std::string_view file, std::vector<OidcSettings>& into,
               ConfigProblems& problems);

}  // namespace stele::auth
