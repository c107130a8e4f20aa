#pragma once
// Api tokens of users: what somebody makes for a script of his own, with a name, an end and scopes that limit
// it, and shows instead of his password. It is he who asks, with the rights that he has at that moment within
// its scopes; it ends with him, and with the password that it was made under. Shown once, when it is made; no
// attempt with one is counted against anybody, since there is nothing to guess.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/event_log.hpp"
#include "auth/login_tokens.hpp"
#include "auth/scope_limits.hpp"
#include "base/clock.hpp"
#include "base/identity.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "storage/catalog/logins.hpp"

namespace stele::auth {

struct NewUserToken {
  std::string name;                     // his own word for it, a printable line
  std::vector<std::string> scopes;      // policy/limits.hpp
  std::optional<Timestamp> expires_at;  // none: never
  audit::Actor actor;
};

// Thread-safe.
class UserTokens {
 public:
  static constexpr std::int64_t most = 100;         // of one user
  static constexpr std::size_t longest_name = 100;  // bytes

  // All of it outlives this; `clock` tells the time of day.
  UserTokens(sql::Database& database, sql::Writer& writer, const Clock& clock)
      : database_(database), writer_(writer), clock_(clock) {}

  // Whether the row is of such a token, as far as the row says: `user` is the name beside it, in whatever
  // letters; none: there was no place for one. unauthorized, also when it has expired, which it says.
  Result<void> check(std::optional<std::string_view> user, const catalog::LoginToken&) const;
  // Puts into the identity of its user, as he is now, what the token makes of it. unauthorized when he is
  // another one by now, or has another password.
  Result<void> limit(const catalog::LoginToken&, Identity& of_user) const;

  struct Made {
    catalog::LoginToken token;
    std::string secret;
  };
  // Whether he is somebody who has such tokens: who is known by a password of his, or by what `docker login`
  // made of it. forbidden.
  static Result<void> are_for(const Identity&);
  // Whether he may make one: the password itself is in the request, so that who finds what a client keeps
  // cannot stay beyond its end. forbidden.
  static Result<void> may_make(const Identity&);
  // Those of his that are over (their time, or the password that they were made under) make room.
  // parameter_invalid: he has one of that name, a scope that cannot be read, a time that is over;
  // too_many_requests.
  Task<Result<Made>> create(Identity, NewUserToken);
  // His own, by name, and whether each is over.
  struct Listed {
    catalog::LoginToken token;
    bool expired = false;
    bool password_changed = false;  // or the user was disabled meanwhile, or somebody else has his name now
  };
  Result<std::vector<Listed>> list(const Identity&) const;
  // not_found, also when it is somebody else's.
  Task<Result<catalog::LoginToken>> revoke(Identity, std::int64_t id, std::string reason, audit::Actor);

 private:
  sql::Database& database_;
  sql::Writer& writer_;
  const Clock& clock_;
  const ScopeLimits limits_;
};

}  // namespace stele::auth
