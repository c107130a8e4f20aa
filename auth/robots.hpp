#pragma once
// Robots: names for programs, each with a secret that it shows instead of a password, a time at which it
// expires, and scopes that limit it, whatever rules give it. Rules know it as robot:NAME. A secret is shown
// once, when it is made; no attempt with one is counted against anybody, since there is nothing to guess.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "audit/event_log.hpp"
#include "auth/login_tokens.hpp"
#include "auth/robot_name.hpp"
#include "auth/scope_limits.hpp"
#include "base/clock.hpp"
#include "base/identity.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "policy/access_rules.hpp"
#include "storage/catalog/logins.hpp"

namespace stele::auth {

struct NewRobot {
  RobotName name;
  std::string description;
  std::vector<std::string> scopes;      // policy/limits.hpp
  std::optional<Timestamp> expires_at;  // none: never
  audit::Actor actor;
};

struct Robot {
  catalog::RobotRow row;
  // The secret that was made last of those that are still good; none: it is revoked. One with an end was
  // replaced, and what replaced it is revoked.
  std::optional<catalog::LoginToken> token;
  bool expired = false;

  std::vector<std::string> scopes() const;
};

struct RobotSecret {
  Robot robot;
  std::string secret;  // empty: it kept the one that it had
};

// Thread-safe.
class Robots {
 public:
  // All of it outlives this; `clock` tells the time of day.
  Robots(sql::Database& database, sql::Writer& writer, const Clock& clock, LoginTokens& tokens)
      : database_(database), writer_(writer), clock_(clock), tokens_(tokens) {}

  // --- logging in; a read of two rows

  // Whose secret it is. `user` is the name beside it, which must be the robot's; none: there was no place for
  // one. unauthorized, with the same message whatever is wrong, but for a robot that has expired. What is no
  // robot's is its row, for others to judge.
  using Holder = std::variant<Identity, catalog::LoginToken>;
  Result<Holder> holder_of(std::optional<std::string_view> user, std::string_view secret) const;

  // By a token that was made from its secret: the login's number and the principal.
  Result<Identity> by_login(std::int64_t login, const std::string& principal) const;

  // What the robot is limited to at present; null where there is no such robot.
  Result<std::shared_ptr<const policy::AccessRules>> limits_of(const std::string& name) const;

  // --- administration

  // parameter_invalid: it is there already, a scope that cannot be read, a time that is over.
  Task<Result<RobotSecret>> create(NewRobot);
  // In the order of names after `after`, at most `limit`.
  Result<std::vector<Robot>> list(const std::string& after, std::int64_t limit) const;
  // A later time, and another secret unless `keep_secret`: the one before ends after `overlap_seconds`, or at
  // the end that it has already if that is sooner, so that what holds it can be given the other one
  // meanwhile; and any before that at once. not_found; parameter_invalid: there is none to keep, or what is
  // kept should end.
  Task<Result<RobotSecret>> renew(RobotName, std::optional<Timestamp> expires_at, bool keep_secret,
                                  audit::Actor, std::int64_t overlap_seconds = 0);
  // Ends its secret and what was made from it; it stays, to be renewed. not_found.
  Task<Result<void>> revoke(RobotName, std::string reason, audit::Actor);
  Task<Result<void>> remove(RobotName, std::string reason, audit::Actor);

  // In how many seconds the next one expires; none: there is none that will.
  std::optional<double> next_expiry_seconds() const;

 private:
  Result<Identity> identity_of(sql::Session&, const catalog::LoginToken&) const;
  Result<void> check_time(std::optional<Timestamp> expires_at) const;
  Robot found(sql::Session&, catalog::RobotRow) const;
  // Those that are good at that moment, the newest last.
  std::vector<catalog::LoginToken> good_secrets(sql::Session&, std::string_view principal,
                                                Timestamp now) const;
  // Ends those that there are; when the last one does, if it is not at once.
  std::optional<Timestamp> end_secrets(sql::Tx&, const RobotName&, Timestamp now,
                                       std::int64_t overlap_seconds) const;

  sql::Database& database_;
  sql::Writer& writer_;
  const Clock& clock_;
  LoginTokens& tokens_;
  const ScopeLimits limits_;
};

}  // namespace stele::auth
