#include "auth/robots.hpp"

#include <algorithm>
#include <utility>

#include "auth/api_token.hpp"
#include "auth/wrong_login.hpp"
#include "policy/limits.hpp"

namespace stele::auth {
namespace {

constexpr std::string_view prefix = "robot:";
constexpr std::int64_t most_secrets = 2;  // of a robot: one, and the one that it replaces

Error unknown(const RobotName& name) {
  return Error(Errc::not_found, "there is no robot " + name.str());
}

std::string until(std::optional<Timestamp> expires_at) {
  return expires_at ? "until " + to_string(*expires_at) : std::string("without an end");
}

// The day alone: what a person looks for in the output of a failed job.
std::string day_of(Timestamp time) {
  return to_string(time).substr(0, 10);
}

void record(sql::Tx& tx, std::string_view action, const std::string& name, const std::string& reason,
            const audit::Actor& actor, Timestamp now) {
  audit::append(tx, audit::Event{action, {}, {}, std::nullopt, std::nullopt, name, reason}, actor, now);
}

sql::Keys keys_of(const RobotName& name) {
  return {"robot:" + name.str()};
}

}  // namespace

std::vector<std::string> Robot::scopes() const {
  return scopes_of_lines(row.scopes);
}

Result<Identity> Robots::identity_of(sql::Session& session, const catalog::LoginToken& token) const {
  if (!token.subject.starts_with(prefix)) return wrong_login();
  const std::string name = token.subject.substr(prefix.size());
  const auto robot = catalog::find_robot(session, name);
  if (!robot) return wrong_login();
  const Timestamp now = clock_.now();
  if (is_over(robot->expires_at, now)) {
    return Error(Errc::unauthorized, "the robot " + name + " expired on " + day_of(*robot->expires_at) +
                                         "; who administers the registry can renew it: stele robot renew " +
                                         name)
        .with("reason", "ROBOT_EXPIRED")
        .with("robot", name)
        .with("expired_at", to_string(*robot->expires_at));
  }
  auto limits = limits_.of(robot->scopes);
  if (!limits) return limits.error();
  if (is_over(token.expires_at, now)) {
    return Error(Errc::unauthorized, "this secret of the robot " + name +
                                         " was replaced by another one and ended at " +
                                         to_string(*token.expires_at) + "; use the other one");
  }
  Identity identity;
  identity.principal = Principal(token.subject);
  identity.method = Identity::Method::password;
  identity.limits = std::move(*limits);
  identity.login = token.id;
  if (robot->expires_at) identity.expires_at = robot->expires_at->microseconds / 1'000'000;
  return identity;
}

Result<Robots::Holder> Robots::holder_of(std::optional<std::string_view> user,
                                         std::string_view secret) const {
  auto holder = database_.read([&](sql::Session& session) -> Result<Holder> {
    auto token = catalog::find_api_token(session, api_token_hash(secret));
    if (!token) return wrong_login();
    if (!token->subject.starts_with(prefix)) return Holder(std::move(*token));
    if (user && token->subject != std::string(prefix) + std::string(*user)) return wrong_login();
    auto identity = identity_of(session, *token);
    if (!identity) return identity.error();
    return Holder(std::move(*identity));
  });
  if (holder && std::holds_alternative<Identity>(*holder))
    tokens_.note_use(std::get<Identity>(*holder).login);
  return holder;
}

Result<Identity> Robots::by_login(std::int64_t login, const std::string& principal) const {
  return database_.read([&](sql::Session& session) -> Result<Identity> {
    const auto token = catalog::find_login_token(session, login);
    if (!token || token->subject != principal) {
      return token_not_accepted("what it was made from is revoked or has expired");
    }
    return identity_of(session, *token);
  });
}

Result<std::shared_ptr<const policy::AccessRules>> Robots::limits_of(const std::string& name) const {
  const auto robot = database_.read([&](sql::Session& session) -> Result<std::optional<catalog::RobotRow>> {
    return catalog::find_robot(session, name);
  });
  if (!robot) return robot.error();
  if (!*robot) return std::shared_ptr<const policy::AccessRules>();
  return limits_.of((*robot)->scopes);
}

Result<void> Robots::check_time(std::optional<Timestamp> expires_at) const {
  if (!is_over(expires_at, clock_.now())) return {};
  return Error(Errc::parameter_invalid, "expires must be later than now, not " + to_string(*expires_at));
}

std::vector<catalog::LoginToken> Robots::good_secrets(sql::Session& session, std::string_view principal,
                                                      Timestamp now) const {
  auto secrets = catalog::list_login_tokens(session, principal, 0, most_secrets);
  std::erase_if(secrets, [&](const catalog::LoginToken& one) { return is_over(one.expires_at, now); });
  return secrets;
}

std::optional<Timestamp> Robots::end_secrets(sql::Tx& tx, const RobotName& name, Timestamp now,
                                             std::int64_t overlap_seconds) const {
  const auto good = good_secrets(tx, name.principal(), now);
  if (overlap_seconds == 0 || good.empty()) {
    catalog::delete_login_tokens(tx, name.principal());
    return std::nullopt;
  }
  const Timestamp asked = now + overlap_seconds * 1'000'000;
  const Timestamp end = std::min(asked, good.back().expires_at.value_or(asked));
  catalog::end_login_tokens(tx, name.principal(), good.back().id, end);
  return end;
}

Robot Robots::found(sql::Session& session, catalog::RobotRow row) const {
  Robot robot;
  const Timestamp now = clock_.now();
  robot.expired = is_over(row.expires_at, now);
  auto tokens = good_secrets(session, std::string(prefix) + row.name, now);
  if (!tokens.empty()) robot.token = std::move(tokens.back());
  robot.row = std::move(row);
  return robot;
}

Task<Result<RobotSecret>> Robots::create(NewRobot asked) {
  if (const auto read = policy::read_limits(asked.scopes); !read) co_return read.error();
  if (auto good = check_time(asked.expires_at); !good) co_return good.error();
  const std::string secret = make_api_token();
  auto pending = writer_.write(keys_of(asked.name), [&](sql::Tx& tx) -> Result<RobotSecret> {
    if (catalog::find_robot(tx, asked.name.str())) {
      return Error(Errc::parameter_invalid,
                   "there is a robot " + asked.name.str() +
                       " already; renew it, which gives it another secret, or remove it first");
    }
    const Timestamp now = clock_.now();
    const catalog::RobotRow row{asked.name.str(),
                                asked.description,
                                joined_scopes(asked.scopes, "\n"),
                                asked.expires_at,
                                now,
                                asked.actor.principal.name()};
    catalog::insert_robot(tx, row);
    catalog::insert_login_token(tx, {0, "api", asked.name.principal(), now, {}, {}}, api_token_hash(secret));
    record(tx, "robot.create", row.name, until(row.expires_at) + "; " + joined_scopes(asked.scopes, "; "),
           asked.actor, now);
    return RobotSecret{found(tx, row), secret};
  });
  co_return co_await pending;
}

Result<std::vector<Robot>> Robots::list(const std::string& after, std::int64_t limit) const {
  return database_.read([&](sql::Session& session) -> Result<std::vector<Robot>> {
    std::vector<Robot> robots;
    for (catalog::RobotRow& row : catalog::list_robots(session, after, limit))
      robots.push_back(found(session, std::move(row)));
    return robots;
  });
}

Task<Result<RobotSecret>> Robots::renew(RobotName name, std::optional<Timestamp> expires_at, bool keep_secret,
                                        audit::Actor actor, std::int64_t overlap_seconds) {
  if (auto good = check_time(expires_at); !good) co_return good.error();
  if (keep_secret && overlap_seconds > 0) {
    co_return Error(
        Errc::parameter_invalid,
        "overlap is for how long the secret before is still good; with the same secret there is none "
        "before");
  }
  const std::string secret = keep_secret ? std::string() : make_api_token();
  auto pending = writer_.write(keys_of(name), [&](sql::Tx& tx) -> Result<RobotSecret> {
    if (!catalog::find_robot(tx, name.str())) return unknown(name);
    const Timestamp now = clock_.now();
    const auto secrets = good_secrets(tx, name.principal(), now);
    // One that was replaced ends when it ends.
    if (keep_secret && (secrets.empty() || secrets.back().expires_at)) {
      return Error(Errc::parameter_invalid, "the secret of the robot " + name.str() +
                                                " was revoked and cannot be kept; renew it with another one");
    }
    catalog::set_robot_expiry(tx, name.str(), expires_at);
    std::optional<Timestamp> before_ends;
    if (!keep_secret) {
      before_ends = end_secrets(tx, name, now, overlap_seconds);
      catalog::insert_login_token(tx, {0, "api", name.principal(), now, {}, {}}, api_token_hash(secret));
    }
    record(tx, "robot.renew", name.str(),
           until(expires_at) + (keep_secret ? "; with the same secret" : "; with another secret") +
               (before_ends ? "; the one before until " + to_string(*before_ends) : std::string()),
           actor, now);
    return RobotSecret{found(tx, catalog::find_robot(tx, name.str()).value()), secret};
  });
  co_return co_await pending;
}

Task<Result<void>> Robots::revoke(RobotName name, std::string reason, audit::Actor actor) {
  auto pending = writer_.write(keys_of(name), [&](sql::Tx& tx) -> Result<void> {
    if (!catalog::find_robot(tx, name.str())) return unknown(name);
    catalog::delete_login_tokens(tx, name.principal());
    record(tx, "robot.revoke", name.str(), reason, actor, clock_.now());
    return {};
  });
  co_return co_await pending;
}

Task<Result<void>> Robots::remove(RobotName name, std::string reason, audit::Actor actor) {
  auto pending = writer_.write(keys_of(name), [&](sql::Tx& tx) -> Result<void> {
    if (!catalog::find_robot(tx, name.str())) return unknown(name);
    catalog::delete_login_tokens(tx, name.principal());
    catalog::delete_robot(tx, name.str());
    record(tx, "robot.remove", name.str(), reason, actor, clock_.now());
    return {};
  });
  co_return co_await pending;
}

std::optional<double> Robots::next_expiry_seconds() const {
  const Timestamp now = clock_.now();
  const auto next = database_.read([&](sql::Session& session) -> Result<std::optional<Timestamp>> {
    return catalog::next_robot_expiry(session, now);
  });
  if (!next || !*next) return std::nullopt;
  return static_cast<double>((*next)->microseconds - now.microseconds) / 1e6;
}

}  // namespace stele::auth
