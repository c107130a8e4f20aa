#include "auth/access.hpp"

#include <algorithm>
#include <string>

#include "auth/scopes.hpp"

namespace stele::auth {
namespace {

using Method = Identity::Method;
using Outcome = policy::AccessDecision::Outcome;

// Why the caller may not: the rest of a refusal.
Error refusal(Errc code, const std::string& message, const Needs& needs, const RepositoryName* repository) {
  const std::string right(to_string(needs.right));
  const std::string where = repository ? " in " + repository->str() : std::string();
  // containerd's users see the status line alone.
  Error error = Error(code, message).with("right", right).in_brief("no right " + right + where);
  if (!repository) return error;
  return std::move(error).with("repository", repository->str());
}

// "rolling a tag back needs the right rollback in prod/app, which "
std::string asked_for(const Needs& needs, const RepositoryName* repository) {
  return std::string(needs.what) + " needs the right " + std::string(to_string(needs.right)) +
         (repository ? " in " + repository->str() : std::string()) + ", which ";
}

// Whether the needed right or one of the others has what `has` asks for.
template <typename Has>
bool any_right(const Needs& needs, Has has) {
  if (has(needs.right)) return true;
  for (int i = 0; i < policy::right_count; ++i) {
    const auto right = static_cast<Right>(i);
    if (needs.also.has(right) && has(right)) return true;
  }
  return false;
}

// What the caller may do where no rule says it.
bool without_rules(const Identity& identity, Right right) {
  const bool local = identity.method == Method::loopback;
  switch (right) {
    case Right::pull:
    case Right::push:
    case Right::remove:
    case Right::report_in_use:  // protects; and where it could end protection, deleting does more
      return true;
    case Right::promote:  // copies what others pushed: not for whoever cannot be named
      return local || identity.principal != Principal::anonymous();
    case Right::upkeep:
      return false;
    default:
      return local;
  }
}

// Where there is a way to log in, what follows is for those who did.
bool must_log_in(const Identity& identity, const AccessSettings& settings) {
  return settings.credentials && identity.method != Method::loopback &&
         identity.principal == Principal::anonymous();
}

Error over_the_network(const Identity& identity, const Needs& needs, const RepositoryName* repository) {
  return refusal(Errc::forbidden,
                 asked_for(needs, repository) + identity.principal.name() +
                     " does not have over the network; use the local socket (stele … --data DIR) on the "
                     "server's machine",
                 needs, repository);
}

// 401 and not 403: by that clients know that another token helps.
Error not_in_the_token(const Identity& identity, const Needs& needs, const RepositoryName* repository) {
  return refusal(Errc::unauthorized,
                 asked_for(needs, repository) + identity.principal.name() +
                     " has but the token is not good for; ask for a token with it",
                 needs, repository)
      .with("reason", "INSUFFICIENT_SCOPE");
}

bool scopes_leave_one(const Identity& identity, Right right, const Needs& needs,
                      const RepositoryName* repository) {
  if (identity.scopes.empty()) return true;
  if (repository) return scopes_leave(identity.scopes, right, repository->str());
  if (needs.over == Needs::Over::list) return scopes_leave_the_list(identity.scopes);
  return needs.over == Needs::Over::somewhere && scopes_leave_somewhere(identity.scopes, right);
}

// Whether the scopes of a robot or of an api token leave it.
bool limits_leave(const Identity& identity, Right right, const Needs& needs,
                  const RepositoryName* repository) {
  if (!identity.limits) return true;
  if (!repository && (needs.over == Needs::Over::somewhere || needs.over == Needs::Over::list))
    return identity.limits->perhaps_somewhere(identity, right);
  const std::string_view name = repository ? std::string_view(repository->str()) : std::string_view();
  return identity.limits->decide(identity, right, name).allowed();
}

Error out_of_limits(const Identity& identity, const Needs& needs, const RepositoryName* repository) {
  const bool robot = identity.principal.name().starts_with("robot:");
  return refusal(Errc::forbidden,
                 asked_for(needs, repository) + "the scopes of " + (robot ? "" : "the api token of ") +
                     identity.principal.name() + " do not leave it; " +
                     (robot ? "who administers the server can see them with stele robot list"
                            : "stele token list --own shows them"),
                 needs, repository)
      .with("reason", robot ? "ROBOT_SCOPE" : "TOKEN_SCOPE");
}

// Whether the caller has one of the rights that will do. `given`: whether rules, or their absence, give him a
// right; an error when he had one of them, but for his token or his robot's scopes.
template <typename Given>
Result<bool> has_one(const Identity& identity, const Needs& needs, const RepositoryName* repository,
                     Given given) {
  bool limits_are_in_the_way = false, scopes_are_in_the_way = false;
  const auto has = [&](Right right) {
    if (!given(right)) return false;
    const bool within = limits_leave(identity, right, needs, repository);
    const bool left = scopes_leave_one(identity, right, needs, repository);
    limits_are_in_the_way = limits_are_in_the_way || !within;
    scopes_are_in_the_way = scopes_are_in_the_way || (within && !left);
    return within && left;
  };
  if (any_right(needs, has)) return true;
  if (scopes_are_in_the_way) return not_in_the_token(identity, needs, repository);
  if (limits_are_in_the_way) return out_of_limits(identity, needs, repository);
  return false;
}

}  // namespace

Result<void> Access::may(const Identity& identity, const Needs& needs,
                         const RepositoryName* repository) const {
  if (identity.method == Method::socket) {
    if (identity.administrator) return {};
    return Error(Errc::forbidden,
                 "administration over this socket is for root and for the user that runs stele");
  }
  if (needs.right == Right::upkeep) return over_the_network(identity, needs, repository);
  if (needs.over == Needs::Over::anybody) return {};
  if (needs.over == Needs::Over::nothing && !repository) {
    if (!settings_.credentials || identity.principal != Principal::anonymous() || !identity.scopes.empty())
      return {};
    return refusal(Errc::unauthorized, std::string(needs.what) + " needs a login", needs, repository);
  }
  const auto rules = live_ ? live_->access() : nullptr;
  if (rules) return by_rules(*rules, identity, needs, repository);
  if (must_log_in(identity, settings_)) {
    return refusal(Errc::unauthorized,
                   std::string(needs.what) +
                       " needs a login: docker login, or the same of your client, with a name and a password",
                   needs, repository);
  }
  const auto given = [&](Right right) { return without_rules(identity, right); };
  const auto has = has_one(identity, needs, repository, given);
  if (!has) return has.error();
  if (*has) return {};
  return over_the_network(identity, needs, repository);
}

Result<void> Access::by_rules(const policy::AccessRules& rules, const Identity& identity, const Needs& needs,
                              const RepositoryName* repository) const {
  const std::string_view name = repository ? std::string_view(repository->str()) : std::string_view();
  const bool anywhere =
      !repository && (needs.over == Needs::Over::somewhere || needs.over == Needs::Over::list);
  const auto given = [&](Right right) {
    return anywhere ? rules.perhaps_somewhere(identity, right)
                    : rules.decide(identity, right, name).allowed();
  };
  const auto has = has_one(identity, needs, repository, given);
  if (!has) return has.error();
  if (*has) return {};
  const std::string asked = asked_for(needs, repository);
  const bool anonymous = identity.principal == Principal::anonymous();
  if (anonymous && settings_.credentials)
    return refusal(Errc::unauthorized, asked + "anonymous does not have; log in", needs, repository);
  const policy::AccessDecision decision = rules.decide(identity, needs.right, name);
  if (decision.outcome == Outcome::denied) {
    return refusal(Errc::forbidden,
                   asked + rules.rules()[decision.rule].shown(decision.rule) + " of access_rules denies to " +
                       identity.principal.name(),
                   needs, repository);
  }
  return refusal(Errc::forbidden,
                 asked + "no rule of access_rules gives to " + identity.principal.name() +
                     "; who administers the server can see why with stele access explain",
                 needs, repository);
}

Sight Access::sight_of(const Identity& identity, policy::Rights any_of) const {
  Sight sight;
  if (identity.method == Method::socket) {
    sight.everything_ = identity.administrator;
    return sight;
  }
  sight.scopes_ = identity.scopes;
  sight.rules_ = live_ ? live_->access() : nullptr;
  sight.limits_ = identity.limits;
  for (int i = 0; i < policy::right_count; ++i) {
    const auto right = static_cast<Right>(i);
    if (!any_of.has(right)) continue;
    Sight::Way way{right, std::nullopt, std::nullopt};
    if (sight.rules_) {
      way.of_rules = sight.rules_->sight_of(identity, {right});
    } else if (!without_rules(identity, right) || must_log_in(identity, settings_)) {
      continue;  // only what is given everywhere is given at all
    }
    if (sight.limits_) way.of_limits = sight.limits_->sight_of(identity, {right});
    const bool everywhere =
        (!way.of_rules || way.of_rules->everywhere()) && (!way.of_limits || way.of_limits->everywhere());
    sight.everything_ = sight.everything_ || (everywhere && sight.scopes_.empty());
    sight.ways_.push_back(std::move(way));
  }
  return sight;
}

// One right, of the rules, of the robot's scopes and of the token's: two that each lack something do not make
// up for each other.
bool Sight::leads(const Way& way, std::string_view repository) const {
  if (way.of_rules && !way.of_rules->has(repository)) return false;
  if (way.of_limits && !way.of_limits->has(repository)) return false;
  return scopes_.empty() || scopes_leave(scopes_, way.right, repository) ||
         (way.right == Right::pull && scopes_leave_the_list(scopes_));
}

bool Sight::has(std::string_view repository) const {
  return everything_ ||
         std::any_of(ways_.begin(), ways_.end(), [&](const Way& way) { return leads(way, repository); });
}

}  // namespace stele::auth
