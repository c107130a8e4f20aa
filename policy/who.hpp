#pragma once
// One entry of `who` in an access rule: whom the rule speaks of. docs/access.md says what each form means.

#include <string>
#include <string_view>
#include <vector>

#include "base/identity.hpp"
#include "base/result.hpp"

namespace stele::policy {

class Who {
 public:
  enum class Kind { user, group, robot, cert, oidc, anonymous, authenticated };

  // "user:releaser", "group:dev", "robot:ci-*", "cert:node-1", "oidc:<issuer>:<claim>=<value>", "anonymous",
  // "authenticated". parameter_invalid, with what was likely meant.
  static Result<Who> parse(std::string_view text);
  // All of the claims must match.
  static Result<Who> oidc(std::string_view issuer, std::vector<Claim> claims);

  Kind kind() const { return kind_; }
  // As it would be written; an oidc with several claims as a mapping.
  std::string to_string() const;

  // `anonymous` is whoever is not known. In a name and in a claim's value `*` stands for any characters but
  // ":" and "/"; all else for itself. A claim that the token lacks does not match.
  bool matches(const Identity&) const;

  // Whether it surely matches everybody whom the other matches.
  bool covers(const Who& other) const;
  // An OIDC entry that names nothing that stays with a project when it is renamed, transferred or made anew.
  bool lacks_lasting_id() const;
  // Whether the claim names one project, owner or account for good, and not any of them.
  static bool is_lasting_id(const Claim& claim);

 private:
  Who(Kind kind, std::string name) : kind_(kind), name_(std::move(name)) {}
  Kind kind_;
  std::string name_;           // of oidc: the issuer's URL
  std::vector<Claim> claims_;  // of oidc, by name: what each must be like
};

// A full match of `text`; `*` stands for any characters but ":" and "/".
bool matches_with_stars(std::string_view pattern, std::string_view text);

}  // namespace stele::policy
