// Robots and the tokens that can be taken away, over a real catalog.
#include "auth/robots.hpp"

#include <filesystem>

#include "auth/access.hpp"
#include "auth/api_token.hpp"
#include "auth/login_tokens.hpp"
#include "base/random.hpp"
#include "policy/limits.hpp"
#include "storage/catalog/schema.hpp"
#include "storage/sql/sqlite/sqlite_database.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/auth/set_clock.hpp"

namespace stele::auth::robots_test {
namespace {

class Directory {
 public:
  Directory() { std::filesystem::create_directory(path); }
  ~Directory() { std::filesystem::remove_all(path); }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  const std::string path =
      (std::filesystem::temp_directory_path() / ("stele-robots-" + random_hex(8))).string();
};

struct Fixture {
  Fixture() { REQUIRE(catalog::migrate(*database).has_value()); }

  std::string create(const std::string& name, std::optional<std::int64_t> seconds = 1000,
                     std::vector<std::string> scopes = {"**:pull"}) {
    NewRobot asked{RobotName::parse(name).value(), "", std::move(scopes), std::nullopt, actor};
    if (seconds) asked.expires_at = clock.now() + *seconds * 1'000'000;
    auto made = sync_wait(robots.create(std::move(asked)));
    INFO((made ? std::string() : made.error().message()));
    REQUIRE(made.has_value());
    return made->secret;
  }
  Result<Identity> by_secret(std::optional<std::string_view> user, const std::string& secret) const {
    const auto holder = robots.holder_of(user, secret);
    if (!holder) return holder.error();
    REQUIRE(std::holds_alternative<Identity>(*holder));
    return std::get<Identity>(*holder);
  }
  std::string count(const std::string& what) {
    return std::to_string(database
                              ->read([&](sql::Session& session) -> Result<std::int64_t> {
                                auto row = session.query("SELECT COUNT(*) FROM " + what);
                                row.next();
                                return row.integer(0);
                              })
                              .value());
  }

  Directory directory;
  SetClock clock;
  StoreLatch latch;
  std::unique_ptr<sql::Database> database = sql::open_sqlite(directory.path + "/stele.db").value();
  sql::Writer writer{*database, latch};
  LoginTokens tokens{*database, writer, clock};
  Robots robots{*database, writer, clock, tokens};
  const audit::Actor actor{Principal("user:admin"), "r1"};
  const RobotName ci = RobotName::parse("ci").value();
};

TEST_CASE("auth: a secret checks itself, and none is like another") {
  const std::string one = make_api_token(), other = make_api_token();
  CHECK(one.size() == 54);
  CHECK(one.starts_with("stele_"));
  CHECK(one != other);
  CHECK(is_api_token(one));
  for (std::size_t i = 0; i < one.size(); ++i) {
    std::string changed = one;
    changed[i] = changed[i] == '0' ? '1' : '0';
    INFO(i);
    CHECK_FALSE(is_api_token(changed));
  }
  CHECK_FALSE(is_api_token(one + "0"));
  CHECK_FALSE(is_api_token(one.substr(1)));
  CHECK_FALSE(is_api_token(""));
  CHECK_FALSE(is_api_token("stele_correct horse"));
}

TEST_CASE(
    "auth: a robot is known by its secret and its name, and the catalog has neither secret nor name "
    "in it that would do") {
  Fixture fixture;
  const std::string secret = fixture.create("ci", 1000, {"team/**:pull"});
  const auto identity = fixture.by_secret("ci", secret);
  REQUIRE(identity.has_value());
  CHECK(identity->principal.name() == "robot:ci");
  CHECK(identity->login > 0);
  REQUIRE(identity->limits);
  CHECK(identity->limits->decide(*identity, Right::pull, "team/a").allowed());
  CHECK_FALSE(identity->limits->decide(*identity, Right::pull, "prod/a").allowed());
  CHECK(fixture.by_secret(std::nullopt, secret).has_value());
  for (const char* other : {"", "CI", "robot:ci", "ci "}) {
    INFO(other);
    const auto refused = fixture.by_secret(other, secret);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code() == Errc::unauthorized);
  }
  CHECK_FALSE(fixture.by_secret("ci", make_api_token()).has_value());
  CHECK(fixture.count("login_tokens WHERE hash = '" + secret + "'") == "0");
  CHECK(fixture.count("login_tokens WHERE hash = '" + api_token_hash(secret) + "'") == "1");
}

TEST_CASE("auth: what is made from a robot's secret ends with it, whoever gets its name later") {
  Fixture fixture;
  const std::string first = fixture.create("ci");
  const std::int64_t login = fixture.by_secret("ci", first)->login;
  CHECK(fixture.robots.by_login(login, "robot:ci").has_value());
  CHECK_FALSE(fixture.robots.by_login(login, "robot:other").has_value());
  CHECK_FALSE(fixture.robots.by_login(0, "robot:ci").has_value());
  REQUIRE(sync_wait(fixture.robots.remove(fixture.ci, "over", fixture.actor)).has_value());
  const std::string second = fixture.create("ci");
  CHECK(fixture.by_secret("ci", second)->login != login);
  CHECK_FALSE(fixture.robots.by_login(login, "robot:ci").has_value());
  CHECK_FALSE(fixture.by_secret("ci", first).has_value());
}

TEST_CASE("auth: an expired robot is told so at the very moment, and renewed with the same secret (A24)") {
  Fixture fixture;
  const std::string secret = fixture.create("ci", 1000);
  fixture.clock.pass(999);
  CHECK(fixture.by_secret("ci", secret).has_value());
  CHECK(fixture.robots.next_expiry_seconds() == 1.0);
  fixture.clock.pass(1);
  const auto refused = fixture.by_secret("ci", secret);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code() == Errc::unauthorized);
  CHECK(refused.error().message().find("the robot ci expired on 2027-01-15") != std::string::npos);
  CHECK(fixture.robots.list("", 9)->at(0).expired);
  CHECK_FALSE(fixture.robots.next_expiry_seconds().has_value());
  REQUIRE(sync_wait(fixture.robots.renew(fixture.ci, fixture.clock.now() + 1'000'000, true, fixture.actor))
              .has_value());
  CHECK(fixture.by_secret("ci", secret).has_value());
  CHECK_FALSE(
      sync_wait(fixture.robots.renew(fixture.ci, fixture.clock.now(), true, fixture.actor)).has_value());
}

TEST_CASE(
    "auth: a secret that is replaced with an overlap ends when that is over, with what was made from it") {
  Fixture of;
  const std::string first = of.create("ci", std::nullopt);
  const auto good = [&](const std::string& secret) { return of.by_secret("ci", secret).has_value(); };
  const auto renew = [&](std::int64_t overlap, std::optional<Timestamp> end = std::nullopt) {
    return sync_wait(of.robots.renew(of.ci, end, false, of.actor, overlap)).value();
  };
  const std::int64_t login = of.by_secret("ci", first)->login;
  const auto renewed = renew(100);
  const std::string second = renewed.secret;
  CHECK(renewed.robot.token->id == of.by_secret("ci", second)->login);
  CHECK((good(first) && good(second) && of.robots.by_login(login, "robot:ci").has_value()));
  of.clock.pass(99);
  CHECK((good(first) && good(second)));
  of.clock.pass(1);
  const auto over = of.by_secret("ci", first);
  REQUIRE_FALSE(over.has_value());
  CHECK(over.error().message().find("this secret of the robot ci was replaced") == 0);
  CHECK_FALSE(of.by_secret("other", first).error().message().find("replaced") != std::string::npos);
  CHECK_FALSE(of.robots.by_login(login, "robot:ci").has_value());
  CHECK(good(second));
  // Whoever still shows it is told for a month.
  REQUIRE(sync_wait(of.tokens.flush()).has_value());
  CHECK(of.count("login_tokens") == "2");
  of.clock.pass(30 * 86'400);
  REQUIRE(sync_wait(of.tokens.flush()).has_value());
  CHECK(of.count("login_tokens") == "1");
  // Two at once, and no more; the one before never lasts longer than the robot.
  const std::string third = renew(1000).secret, fourth = renew(1000, of.clock.now() + 10'000'000).secret;
  CHECK_FALSE(good(second));
  CHECK((good(third) && good(fourth)));
  CHECK(of.count("login_tokens") == "2");
  of.clock.pass(10);
  CHECK_FALSE(good(third));
  CHECK_FALSE(good(fourth));
  // Without an overlap, and when it is revoked, nothing of before is left.
  const std::string fifth = renew(1000).secret, sixth = renew(0).secret;
  CHECK((!good(third) && !good(fourth) && !good(fifth) && good(sixth)));
  const std::string last = renew(1000).secret;
  CHECK((good(sixth) && good(last)));
  REQUIRE(sync_wait(of.robots.revoke(of.ci, "", of.actor)).has_value());
  CHECK_FALSE((good(sixth) || good(last)));
  CHECK_FALSE(sync_wait(of.robots.renew(of.ci, std::nullopt, true, of.actor, 10)).has_value());
  CHECK(of.count("events WHERE action = 'robot.renew' AND reason LIKE '%; the one before until %'") == "5");
}

TEST_CASE("auth: a secret before that is over, or revoked, is not said to be good") {
  Fixture of;
  const std::string first = of.create("ci", std::nullopt);
  const auto good = [&](const std::string& secret) { return of.by_secret("ci", secret).has_value(); };
  const auto renew = [&](std::int64_t overlap) {
    return sync_wait(of.robots.renew(of.ci, std::nullopt, false, of.actor, overlap)).value();
  };
  const auto revoke = [&](const std::string& secret) {
    const auto login = of.by_secret("ci", secret)->login;
    REQUIRE(sync_wait(of.tokens.revoke(login, "lost", of.actor)).has_value());
  };
  const auto recorded = [&](Timestamp end) {
    return of.count("events WHERE action = 'robot.renew' AND reason LIKE '%; the one before until " +
                    to_string(end) + "'") == "1";
  };
  const auto said = [&] { return of.count("events WHERE reason LIKE '%the one before%'"); };
  const std::string second = renew(100).secret;
  const Timestamp first_ends = of.clock.now() + 100'000'000;
  CHECK(recorded(first_ends));
  CHECK_FALSE(of.robots.list("", 9)->at(0).token->expires_at);
  revoke(second);
  // The one before is the only one, until it ends; a further renewal does not make it last longer, and takes
  // it away only when there is no overlap.
  CHECK(of.robots.list("", 9)->at(0).token->expires_at == first_ends);
  of.clock.pass(50);
  std::string third = renew(1000).secret;
  CHECK((good(first) && good(third)));
  CHECK(of.count("events WHERE reason LIKE '%; the one before until " + to_string(first_ends) + "'") == "2");
  revoke(third);
  of.clock.pass(50);
  CHECK_FALSE(good(first));
  CHECK_FALSE(of.robots.list("", 9)->at(0).token.has_value());
  // It is over: nothing is said of it, nor is it there.
  third = renew(1000).secret;
  CHECK(said() == "2");
  CHECK(of.count("login_tokens") == "1");
  revoke(third);
  (void)renew(1000);
  CHECK(said() == "2");
}

TEST_CASE("auth: every change of a robot has its event (I4), and no secret stands in one") {
  Fixture fixture;
  std::string secrets = fixture.create("ci");
  secrets += sync_wait(fixture.robots.renew(fixture.ci, std::nullopt, false, fixture.actor))->secret;
  REQUIRE(sync_wait(fixture.robots.revoke(fixture.ci, "lost", fixture.actor)).has_value());
  REQUIRE(sync_wait(fixture.robots.remove(fixture.ci, "over", fixture.actor)).has_value());
  const auto login = sync_wait(fixture.tokens.add_refresh_token("user:alice", 60)).value();
  REQUIRE(sync_wait(fixture.tokens.revoke(login, "laptop", fixture.actor)).has_value());
  for (const char* action : {"robot.create", "robot.renew", "robot.revoke", "robot.remove", "token.revoke"}) {
    INFO(action);
    CHECK(fixture.count("events WHERE actor = 'user:admin' AND action = '" + std::string(action) + "'") ==
          "1");
  }
  CHECK(fixture.count("events WHERE reason LIKE '%stele_%'") == "0");
  // Nothing is refused without a trace of being there, or done twice.
  CHECK(sync_wait(fixture.robots.revoke(fixture.ci, "", fixture.actor)).error().code() == Errc::not_found);
  CHECK(sync_wait(fixture.tokens.revoke(login, "", fixture.actor)).error().code() == Errc::not_found);
  CHECK(fixture.count("events") == "5");
}

TEST_CASE("auth: refresh tokens are bounded for each user (I10), and forgotten when their time is over") {
  Fixture fixture;
  const auto mine = sync_wait(fixture.tokens.add_refresh_token("user:bob", 60)).value();
  const auto oldest = sync_wait(fixture.tokens.add_refresh_token("user:alice", 60)).value();
  for (std::int64_t i = 1; i <= LoginTokens::most_refresh_tokens; ++i)
    REQUIRE(sync_wait(fixture.tokens.add_refresh_token("user:alice", 600)).has_value());
  CHECK_FALSE(fixture.tokens.standing(oldest, "user:alice").value().has_value());
  CHECK(fixture.tokens.standing(oldest + 1, "user:alice").value().has_value());
  CHECK(fixture.tokens.standing(mine, "user:bob").value().has_value());
  CHECK_FALSE(fixture.tokens.standing(mine, "user:alice").value().has_value());
  fixture.clock.pass(60);
  REQUIRE(sync_wait(fixture.tokens.flush()).has_value());
  CHECK_FALSE(fixture.tokens.standing(mine, "user:bob").value().has_value());
  CHECK(fixture.count("login_tokens") == "1000");
}

TEST_CASE("auth: all tokens of one principal end in one transaction, each with its record (I4)") {
  Fixture fixture;
  const auto bobs = sync_wait(fixture.tokens.add_refresh_token("user:bob", 600)).value();
  std::vector<std::int64_t> alices;
  for (std::int64_t i = 0; i < LoginTokens::most_refresh_tokens; ++i)
    alices.push_back(sync_wait(fixture.tokens.add_refresh_token("user:alice", 600)).value());
  const auto revoked = sync_wait(fixture.tokens.revoke_all("user:alice", "lost laptop", fixture.actor));
  REQUIRE(revoked.has_value());
  CHECK(*revoked == alices);
  CHECK_FALSE(fixture.tokens.standing(alices.front(), "user:alice").value().has_value());
  CHECK_FALSE(fixture.tokens.standing(alices.back(), "user:alice").value().has_value());
  CHECK(fixture.tokens.standing(bobs, "user:bob").value().has_value());
  CHECK(fixture.count("login_tokens") == "1");
  CHECK(fixture.count("events WHERE action = 'token.revoke' AND rule = 'user:alice' AND reason LIKE '%: lost "
                      "laptop'") == "1000");
  for (const char* nobody : {"user:alice", "alice", "user:bo", ""}) {
    INFO(nobody);
    const auto none = sync_wait(fixture.tokens.revoke_all(nobody, "", fixture.actor));
    REQUIRE_FALSE(none.has_value());
    CHECK(none.error().code() == Errc::not_found);
  }
  CHECK(fixture.tokens.standing(bobs, "user:bob").value().has_value());
}

TEST_CASE("auth: CI sessions of one name are bounded (I10), and none ends another's") {
  Fixture fixture;
  const std::string job = "oidc:github:repo:team/app:pull_request";
  const auto first = sync_wait(fixture.tokens.add_refresh_token(job, 600)).value();
  for (std::int64_t i = 1; i < LoginTokens::most_refresh_tokens; ++i)
    REQUIRE(sync_wait(fixture.tokens.add_refresh_token(job, 60)).has_value());
  const auto more = sync_wait(fixture.tokens.add_refresh_token(job, 60));
  REQUIRE_FALSE(more.has_value());
  CHECK(more.error().code() == Errc::too_many_requests);
  CHECK(fixture.tokens.standing(first, job).value().has_value());
  CHECK(sync_wait(fixture.tokens.add_refresh_token(job + "2", 60)).has_value());
  fixture.clock.pass(60);
  REQUIRE(sync_wait(fixture.tokens.flush()).has_value());
  CHECK(sync_wait(fixture.tokens.add_refresh_token(job, 60)).has_value());
  CHECK(fixture.tokens.standing(first, job).value().has_value());
}

TEST_CASE("auth: when a token was used is written in batches, and only for those that stand") {
  Fixture fixture;
  const std::string secret = fixture.create("ci");
  REQUIRE(fixture.by_secret("ci", secret).has_value());
  CHECK(fixture.count("login_tokens WHERE last_used_at IS NOT NULL") == "0");
  fixture.tokens.note_use(999);
  REQUIRE(sync_wait(fixture.tokens.flush()).has_value());
  CHECK(fixture.robots.list("", 9)->at(0).token->last_used_at == fixture.clock.now());
  CHECK(fixture.count("login_tokens") == "1");
  const auto writes = fixture.writer.statistics().writes;
  REQUIRE(sync_wait(fixture.tokens.flush()).has_value());
  CHECK(fixture.writer.statistics().writes == writes);
}

TEST_CASE("auth: a robot's scopes and the rules are asked for the same right, in lists too") {
  Identity robot;
  robot.principal = Principal("robot:ci");
  robot.method = Identity::Method::password;
  robot.limits = policy::read_limits({"a:pull", "b:push"}).value();
  const Access access;
  const RepositoryName a = RepositoryName::parse("a").value(), b = RepositoryName::parse("b").value();
  CHECK(access.may(robot, {Right::pull, "pulling"}, &a).has_value());
  const auto refused = access.may(robot, {Right::push, "pushing"}, &a);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code() == Errc::forbidden);
  CHECK(refused.error().message().find("the scopes of robot:ci do not leave it") != std::string::npos);
  const Sight pulls = access.sight_of(robot, {Right::pull});
  CHECK_FALSE(pulls.everything());
  CHECK(pulls.has("a"));
  CHECK_FALSE(pulls.has("b"));
  // Without rules holds are for others: that scopes leave a right gives none.
  robot.limits = policy::read_limits({"**:hold,audit"}).value();
  CHECK_FALSE(access.sight_of(robot, {Right::hold, Right::audit}).has("a"));
  // A token of the robot's is limited by both.
  robot.limits = policy::read_limits({"**:pull"}).value();
  robot.scopes = {"repository:a:*"};
  CHECK(access.sight_of(robot, {Right::pull}).has("a"));
  CHECK_FALSE(access.sight_of(robot, {Right::pull}).has("b"));
  CHECK_FALSE(access.may(robot, {Right::push, "pushing"}, &a).has_value());
}

}  // namespace
}  // namespace stele::auth::robots_test
