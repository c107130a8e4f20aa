#include "policy/who.hpp"

#include <algorithm>
#include <span>

#include "base/printable.hpp"
#include "config/config_problem.hpp"
#include "policy/issuers.hpp"

namespace stele::policy {
namespace {

constexpr std::string_view kinds[] = {"user", "group", "robot", "cert", "oidc", "anonymous", "authenticated"};
constexpr std::string_view forms =
    "user:NAME, group:NAME, robot:NAME, cert:NAME, oidc:ISSUER:CLAIM=VALUE, anonymous or authenticated";

// What stays when a project is renamed, transferred, or removed and made again under the same name.
constexpr std::string_view lasting_ids[] = {"repository_id",
                                            "repository_owner_id",
                                            "project_id",
                                            "namespace_id",
                                            "enterprise_id",
                                            "organization_id",
                                            "workspace_id",
                                            "terraform_workspace_id",
                                            "user_id",
                                            "actor_id",
                                            "kubernetes.io/serviceaccount/uid"};

Error no_principal(const std::string& why) {
  return Error(Errc::parameter_invalid, why);
}

bool is_without_star(std::string_view pattern) {
  return pattern.find('*') == std::string_view::npos;
}

// One pattern matches all that the other can: they are the same, or the other is a text that it matches.
bool pattern_covers(std::string_view wide, std::string_view narrow) {
  return wide == narrow || (is_without_star(narrow) && matches_with_stars(wide, narrow));
}

}  // namespace

bool matches_with_stars(std::string_view pattern, std::string_view text) {
  // The latest star takes as little as it can, and more when the rest does not fit: an earlier one never
  // needs to be tried again.
  std::size_t at = 0, star = std::string_view::npos, star_end = 0;
  std::size_t next = 0;
  while (at < text.size()) {
    if (next < pattern.size() && pattern[next] == '*') {
      star = next++;
      star_end = at;
    } else if (next < pattern.size() && pattern[next] == text[at]) {
      ++next;
      ++at;
    } else if (star != std::string_view::npos && text[star_end] != ':' && text[star_end] != '/') {
      next = star + 1;
      at = ++star_end;
    } else {
      return false;
    }
  }
  while (next < pattern.size() && pattern[next] == '*') ++next;
  return next == pattern.size();
}

Result<Who> Who::parse(std::string_view text) {
  if (text == "anonymous") return Who(Kind::anonymous, {});
  if (text == "authenticated") return Who(Kind::authenticated, {});
  const std::size_t colon = text.find(':');
  const std::string_view kind = text.substr(0, colon);
  const auto* const known = std::find(std::begin(kinds), std::end(kinds), kind);
  if (known == std::end(kinds)) {
    const std::string_view meant = config::nearest(kind, kinds);
    return no_principal(in_quotes(text) + " is nobody; write " + std::string(forms) +
                        (meant.empty() ? "" : "; did you mean " + in_quotes(meant) + "?"));
  }
  if (kind == "anonymous" || kind == "authenticated")
    return no_principal(std::string(kind) + " stands alone, without a colon");
  const std::string_view name = colon == std::string_view::npos ? std::string_view() : text.substr(colon + 1);
  if (name.empty())
    return no_principal(std::string(kind) + ": lacks the name, as in " +
                        in_quotes(std::string(kind) + ":NAME"));
  const auto number = static_cast<Kind>(known - std::begin(kinds));
  if (number != Kind::oidc) return Who(number, std::string(name));
  // The issuer is a URL with colons, and so may be the value.
  const std::size_t equals = name.find('=');
  const std::size_t claim = equals == std::string_view::npos ? equals : name.rfind(':', equals);
  if (claim == std::string_view::npos || claim == 0 || claim + 1 == equals)
    return no_principal(
        "oidc: names an issuer, a claim and its value, as in \"oidc:github:repository_id=123\"");
  std::vector<Claim> claims(1);
  claims.front().name = std::string(name.substr(claim + 1, equals - claim - 1));
  claims.front().value = std::string(name.substr(equals + 1));
  return oidc(name.substr(0, claim), std::move(claims));
}

Result<Who> Who::oidc(std::string_view issuer, std::vector<Claim> claims) {
  issuer = issuer_url(issuer);
  if (issuer.find("://") == std::string_view::npos)
    return no_principal("the issuer " + in_quotes(issuer) + " must be its URL, or github or gitlab");
  if (claims.empty()) {
    return no_principal(
        "oidc needs a claim beside the issuer, as in {oidc: github, repository_id: \"123\"}: else every "
        "project of that issuer is meant");
  }
  std::sort(claims.begin(), claims.end(), [](const Claim& a, const Claim& b) { return a.name < b.name; });
  for (const Claim& claim : claims) {
    if (claim.value.empty()) return no_principal("the claim " + in_quotes(claim.name) + " lacks its value");
  }
  Who who(Kind::oidc, std::string(issuer));
  who.claims_ = std::move(claims);
  return who;
}

std::string Who::to_string() const {
  std::string kind(kinds[static_cast<std::size_t>(kind_)]);
  if (kind_ == Kind::anonymous || kind_ == Kind::authenticated) return kind;
  if (kind_ != Kind::oidc) return kind + ":" + name_;
  if (claims_.size() == 1)
    return kind + ":" + name_ + ":" + claims_.front().name + "=" + claims_.front().value;
  std::string text = "{oidc: " + name_;
  for (const Claim& claim : claims_) text += ", " + claim.name + ": " + claim.value;
  return text + "}";
}

bool Who::matches(const Identity& identity) const {
  const bool is_anonymous = identity.principal == Principal::anonymous();
  const auto named = [&](std::string_view prefix) {
    const std::string_view principal = identity.principal.name();
    return principal.starts_with(prefix) && matches_with_stars(name_, principal.substr(prefix.size()));
  };
  switch (kind_) {
    case Kind::anonymous:
      return is_anonymous;
    case Kind::authenticated:
      return !is_anonymous;
    case Kind::user:
      return named("user:");
    case Kind::robot:
      return named("robot:");
    case Kind::cert:
      return named("cert:");
    case Kind::group:
      return std::any_of(identity.groups.begin(), identity.groups.end(),
                         [&](const std::string& group) { return matches_with_stars(name_, group); });
    case Kind::oidc:
      break;
  }
  if (identity.issuer != name_) return false;
  return std::all_of(claims_.begin(), claims_.end(), [&](const Claim& wanted) {
    // Said twice is not said: none of the two is to be believed.
    const auto said = std::count_if(identity.claims.begin(), identity.claims.end(),
                                    [&](const Claim& claim) { return claim.name == wanted.name; });
    return said == 1 && std::any_of(identity.claims.begin(), identity.claims.end(), [&](const Claim& claim) {
             return claim.name == wanted.name && matches_with_stars(wanted.value, claim.value);
           });
  });
}

bool Who::covers(const Who& other) const {
  if (kind_ == Kind::authenticated)
    return other.kind_ != Kind::anonymous;  // whoever is in a group, or has claims, is known
  if (kind_ != other.kind_) return false;
  if (kind_ != Kind::oidc) return pattern_covers(name_, other.name_);
  return name_ == other.name_ && std::all_of(claims_.begin(), claims_.end(), [&](const Claim& wanted) {
           return std::any_of(other.claims_.begin(), other.claims_.end(), [&](const Claim& claim) {
             return claim.name == wanted.name && pattern_covers(wanted.value, claim.value);
           });
         });
}

bool Who::is_lasting_id(const Claim& claim) {
  // An id with a star is anybody's.
  return is_without_star(claim.value) &&
         std::find(std::begin(lasting_ids), std::end(lasting_ids), claim.name) != std::end(lasting_ids);
}

bool Who::lacks_lasting_id() const {
  return kind_ == Kind::oidc && std::none_of(claims_.begin(), claims_.end(), is_lasting_id);
}

}  // namespace stele::policy
