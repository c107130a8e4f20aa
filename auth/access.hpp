#pragma once
// The one decision on who may do what, asked at every route of every face. The local socket may do everything
// for root and for the user that runs the server, and nothing for others, whatever rules say. Where the
// policy in force has access rules, they decide the rest; a token's scopes are an upper bound.
//
// Without access rules: a server that was set up for nobody but this machine allows everything to what comes
// from it; everybody else may push, pull and report what clusters run, and who is known may promote.
// Administration over the network is off.

#include <memory>
#include <optional>
#include <string_view>

#include "base/identity.hpp"
#include "base/reference.hpp"
#include "base/result.hpp"
#include "policy/access_rules.hpp"
#include "policy/live.hpp"
#include "policy/right.hpp"

namespace stele::auth {

using policy::Right;
using policy::to_string;

// What a route needs. It has no default: a route without one does not compile.
struct Needs {
  // Over what the right is asked.
  enum class Over {
    route,      // the repository in the path; where there is none, the whole server
    somewhere,  // any repository: the handler asks again for those that the answer or the body names
    list,       // the same; a limited token must name the list of repositories itself, or it would be
                // answered with a part of the list that looks like all of it
    anybody,    // the handler looks itself, at a secret in the body that stands for nobody yet
    nothing,    // where the path has no repository, nothing of any is answered: everybody may who has said
                // who he is, where that can be said
  };
  constexpr Needs(Right needed, const char* purpose, Over asked = Over::route)
      : right(needed), what(purpose), over(asked) {}
  // One of the others will do as well; a refusal names the first.
  constexpr Needs(Right needed, policy::Rights others, const char* purpose, Over asked = Over::route)
      : right(needed), also(others), what(purpose), over(asked) {}
  Right right;
  policy::Rights also = {};
  const char* what;  // what it is needed for: "rolling a tag back"
  Over over;
};

struct AccessSettings {
  // Callers can say who they are in a request (passwords, tokens): then whoever did not is told to (401).
  bool credentials = false;
};

// Which repositories a list may show. A value, for one request.
class Sight {
 public:
  bool everything() const { return everything_; }
  bool has(std::string_view repository) const;

 private:
  friend class Access;
  // A right that leads there, and what limits it.
  struct Way {
    policy::Right right;
    std::optional<policy::AccessRules::Sight> of_rules;   // none: rules do not limit it
    std::optional<policy::AccessRules::Sight> of_limits;  // the same of a robot's scopes
  };
  bool leads(const Way&, std::string_view repository) const;
  bool everything_ = false;
  std::shared_ptr<const policy::AccessRules> rules_, limits_;  // what the ways point into; null: none
  std::vector<Way> ways_;
  std::vector<std::string> scopes_;  // of the token; empty: not limited
};

// Thread-safe.
class Access {
 public:
  // Without a policy there are no access rules. The policy outlives it.
  explicit Access(const policy::LivePolicy* live = nullptr, AccessSettings settings = {})
      : live_(live), settings_(settings) {}

  // forbidden or unauthorized, naming the right, what it was needed for, the repository and what denies it;
  // with `right` and `repository` as details. `repository`: null where the route has none. The answer does
  // not depend on whether the repository is there.
  Result<void> may(const Identity&, const Needs&, const RepositoryName* repository) const;

  // The repositories in which the caller has any of these rights.
  Sight sight_of(const Identity&, policy::Rights any_of) const;

 private:
  Result<void> by_rules(const policy::AccessRules&, const Identity&, const Needs&,
                        const RepositoryName* repository) const;

  const policy::LivePolicy* live_;
  const AccessSettings settings_;
};

}  // namespace stele::auth
