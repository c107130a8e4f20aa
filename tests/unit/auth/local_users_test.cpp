// Local users over a real catalog, and how the first administrator gets in.
#include "auth/local_users.hpp"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "auth/first_administrator.hpp"
#include "auth/login_tokens.hpp"
#include "auth/passwords.hpp"
#include "base/random.hpp"
#include "storage/catalog/schema.hpp"
#include "storage/sql/sqlite/sqlite_database.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/auth/set_clock.hpp"
#include "tests/unit/auth/stored_passwords.hpp"

namespace stele::auth::local_users_test {
namespace {

struct Directory {
  Directory() { std::filesystem::create_directory(path); }
  ~Directory() { std::filesystem::remove_all(path); }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  const std::string path =
      (std::filesystem::temp_directory_path() / ("stele-local-" + random_hex(8))).string();
};

UserName name(const char* text) {
  return UserName::parse(text).value();
}

PasswordHash hash(const char* text) {
  return PasswordHash::parse(text).value();
}

struct Fixture {
  explicit Fixture(const std::string& file = {}) {
    REQUIRE(catalog::migrate(*database).has_value());
    PasswordSettings settings;
    if (!file.empty()) {
      settings.file = directory.path + "/users";
      std::ofstream(settings.file) << file;
    }
    passwords = std::make_unique<Passwords>(std::move(settings), clock, disk);
    REQUIRE(passwords->load_first().has_value());
    users.emplace(*database, writer, clock);
    passwords->attach(*users);
  }
  void add(const char* who, const char* stored, std::vector<GroupName> groups = {}) {
    NewUser asked{name(who), std::move(groups), actor};
    REQUIRE(sync_wait(users->create(std::move(asked), hash(stored))).has_value());
  }
  Result<PasswordUser> check(const std::string& who, const std::string& secret,
                             const std::string& address = "192.0.2.1") {
    Credentials credentials;
    credentials.scheme = Credentials::Scheme::basic;
    credentials.user = who;
    credentials.secret = secret;
    return sync_wait(passwords->check(credentials, address));
  }
  bool right(const std::string& who, const std::string& secret) { return check(who, secret).has_value(); }
  std::string fingerprint(const char* who) {
    const auto found = sync_wait(passwords->find(who));
    return found && *found ? (*found)->fingerprint : std::string();
  }

  Directory directory;
  SetClock clock;
  StoreLatch latch;
  ThreadPool disk{"test-disk", 1};
  std::unique_ptr<sql::Database> database = sql::open_sqlite(directory.path + "/stele.db").value();
  sql::Writer writer{*database, latch};
  std::unique_ptr<Passwords> passwords;
  std::optional<LocalUsers> users;
  const audit::Actor actor{Principal("user:admin"), "r1"};
};

TEST_CASE("local users: the right password is right, in the name that rules know, with the groups") {
  Fixture of;
  CHECK(of.passwords->has_nobody());
  of.add("ann", stored::bcrypt, {GroupName::parse("dev").value(), GroupName::parse("audit").value()});
  CHECK_FALSE(of.passwords->has_nobody());
  for (const char* typed : {"ann", "Ann", "ANN"}) {
    const auto user = of.check(typed, "correct horse");
    REQUIRE(user.has_value());
    CHECK(user->name == "ann");
    CHECK(user->groups == std::vector<std::string>{"audit", "dev"});
  }
  for (const char* other : {"anne", "an", "", "ann ", "nobody"})
    CHECK_FALSE(of.right(other, "correct horse"));
  CHECK_FALSE(of.right("ann", "correct hors"));
  CHECK_FALSE(of.right("ann", ""));
}

TEST_CASE("local users: however a name is typed, guesses are counted together (P15)") {
  Fixture of;
  of.add("ann", stored::bcrypt);
  for (int i = 0; i < 10; ++i) {
    const std::string typed = i % 2 == 0 ? "ann" : "ANN";
    CHECK_FALSE(of.right(typed, "guess " + std::to_string(i)));
  }
  const auto limited = of.check("Ann", "correct horse");
  REQUIRE_FALSE(limited.has_value());
  CHECK(limited.error().code() == Errc::too_many_requests);
  // The owner elsewhere is not locked out.
  CHECK(of.check("ann", "correct horse", "198.51.100.1").has_value());
}

TEST_CASE("local users: a name that nobody has costs a hash, as one that somebody has does") {
  Fixture of;
  of.add("ann", stored::yescrypt);
  const auto before = of.passwords->statistics().hashed;
  CHECK_FALSE(of.right("nobody", "x"));
  CHECK(of.passwords->statistics().hashed == before + 1);
  const auto known = of.check("ann", "x", "192.0.2.2"), unknown = of.check("nobody", "y", "192.0.2.2");
  REQUIRE_FALSE(known.has_value());
  REQUIRE_FALSE(unknown.has_value());
  CHECK(known.error().message() == unknown.error().message());
}

TEST_CASE("local users: how a name is spelled tells nobody whether somebody has it") {
  // Each spelling costs its hash once, and all are limited together.
  for (const char* who : {"ann", "nobody"}) {
    CAPTURE(who);
    Fixture of;
    of.add("ann", stored::bcrypt);
    std::string capital(who);
    capital[0] = static_cast<char>(capital[0] - 'a' + 'A');
    for (int i = 0; i < 2; ++i) {
      CHECK_FALSE(of.right(who, "x"));
      CHECK_FALSE(of.right(capital, "x"));
    }
    CHECK(of.passwords->statistics().hashed == 2);
    std::vector<Errc> answers;
    for (int i = 1; i < 12; ++i)
      answers.push_back(of.check(i % 2 == 0 ? who : capital, "guess " + std::to_string(i)).error().code());
    std::vector<Errc> expected(9, Errc::unauthorized);
    expected.resize(11, Errc::too_many_requests);
    CHECK(answers == expected);
  }
}

// Does something, once, when another thread than the one that made it asks what time it is.
class Interrupting final : public Clock {
 public:
  Timestamp now() const override {
    if (std::this_thread::get_id() != own_ && then) std::exchange(then, nullptr)();
    return Timestamp{1'800'000'000LL * 1'000'000};
  }
  mutable std::function<void()> then;

 private:
  const std::thread::id own_ = std::this_thread::get_id();
};

TEST_CASE("local users: a password that is changed while its check waits for its turn is wrong") {
  Fixture of;
  of.add("ann", stored::bcrypt);
  Interrupting clock;
  Passwords passwords({}, clock, of.disk);
  passwords.attach(*of.users);
  Credentials credentials;
  credentials.scheme = Credentials::Scheme::basic;
  credentials.user = "ann";
  credentials.secret = "correct horse";
  clock.then = [&] {
    REQUIRE(sync_wait(of.users->set_password(name("ann"), hash(stored::yescrypt), of.actor)).has_value());
  };
  const auto answer = sync_wait(passwords.check(credentials, "192.0.2.1"));
  CHECK(clock.then == nullptr);
  REQUIRE_FALSE(answer.has_value());
  CHECK(answer.error().code() == Errc::unauthorized);
}

TEST_CASE("local users: that the last one of those that were counted went hides nobody") {
  Fixture of;
  of.add("ann", stored::bcrypt);
  LocalUsers again(*of.database, of.writer, of.clock);
  of.add("bob", stored::bcrypt);  // by another way
  REQUIRE(sync_wait(again.remove(name("ann"), {}, of.actor)).has_value());
  CHECK(again.find("bob").value().has_value());
}

TEST_CASE("local users: disabled, he may nothing at once, and what was made before is over") {
  Fixture of;
  of.add("ann", stored::bcrypt);
  CHECK(of.right("ann", "correct horse"));
  const std::string before = of.fingerprint("ann");
  LoginTokens tokens_of_logins(*of.database, of.writer, of.clock);
  REQUIRE(sync_wait(tokens_of_logins.add_refresh_token("user:ann", 1000)).has_value());
  REQUIRE(sync_wait(of.users->disable(name("ann"), "left", of.actor)).has_value());
  // Though it was right a moment ago and is remembered.
  CHECK_FALSE(of.right("ann", "correct horse"));
  const auto disabled = sync_wait(of.passwords->find("ann"));
  REQUIRE((disabled.has_value() && *disabled));
  CHECK((*disabled)->disabled);
  CHECK(of.fingerprint("ann") != before);
  CHECK(tokens_of_logins.list("user:ann", 0, 9)->empty());
  REQUIRE(sync_wait(of.users->enable(name("ann"), "", of.actor)).has_value());
  // Though it was wrong a moment ago and is remembered; and tokens from before stay over.
  CHECK(of.right("ann", "correct horse"));
  CHECK(of.fingerprint("ann") != before);
}

TEST_CASE("local users: another password, other groups and removal hold at once") {
  Fixture of;
  of.add("ann", stored::bcrypt, {GroupName::parse("dev").value()});
  CHECK(of.right("ann", "correct horse"));
  CHECK_FALSE(of.right("ann", "pässword:with colon"));
  const std::string first = of.fingerprint("ann");
  REQUIRE(sync_wait(of.users->set_password(name("ann"), hash(stored::other_bcrypt), of.actor)).has_value());
  CHECK_FALSE(of.right("ann", "correct horse"));
  CHECK(of.right("ann", "pässword:with colon"));
  CHECK(of.fingerprint("ann") != first);
  REQUIRE(sync_wait(of.users->change_groups(name("ann"), {GroupName::parse("ops").value()},
                                            {GroupName::parse("dev").value()}, of.actor))
              .has_value());
  CHECK(of.check("ann", "pässword:with colon")->groups == std::vector<std::string>{"ops"});
  const std::string second = of.fingerprint("ann");
  REQUIRE(sync_wait(of.users->remove(name("ann"), "", of.actor)).has_value());
  CHECK_FALSE(of.right("ann", "pässword:with colon"));
  CHECK(of.fingerprint("ann").empty());
  // Whoever has the name next is somebody else.
  of.add("ann", stored::other_bcrypt);
  CHECK(of.fingerprint("ann") != second);
  CHECK(of.check("ann", "pässword:with colon")->groups.empty());
}

TEST_CASE("local users: a name that stands in the file is the file's") {
  Fixture of("ann:" + std::string(stored::other_bcrypt) + "\n");
  of.add("ann", stored::bcrypt, {GroupName::parse("dev").value()});
  of.add("bob", stored::bcrypt);
  CHECK_FALSE(of.right("ann", "correct horse"));
  const auto user = of.check("ann", "pässword:with colon");
  REQUIRE(user.has_value());
  CHECK(user->groups.empty());
  CHECK(of.right("bob", "correct horse"));
}

TEST_CASE("local users: names are taken once, and each change is an event") {
  Fixture of;
  of.add("ann", stored::bcrypt);
  NewUser again{name("ann"), {}, of.actor};
  const auto taken = sync_wait(of.users->create(std::move(again), hash(stored::bcrypt)));
  REQUIRE_FALSE(taken.has_value());
  CHECK(taken.error().code() == Errc::parameter_invalid);
  CHECK(sync_wait(of.users->disable(name("nobody"), "", of.actor)).error().code() == Errc::not_found);
  REQUIRE(sync_wait(of.users->set_password(name("ann"), hash(stored::bcrypt), of.actor)).has_value());
  REQUIRE(sync_wait(of.users->disable(name("ann"), "", of.actor)).has_value());
  REQUIRE(sync_wait(of.users->enable(name("ann"), "", of.actor)).has_value());
  REQUIRE(sync_wait(of.users->change_groups(name("ann"), {GroupName::parse("dev").value()}, {}, of.actor))
              .has_value());
  REQUIRE(sync_wait(of.users->remove(name("ann"), "", of.actor)).has_value());
  std::vector<std::string> actions;
  const auto read = of.database->read([&](sql::Session& session) -> Result<void> {
    auto rows = session.query("SELECT action FROM events ORDER BY sequence");
    while (rows.next()) actions.emplace_back(rows.text(0));
    return {};
  });
  REQUIRE(read.has_value());
  CHECK(actions == std::vector<std::string>{"user.create", "user.password", "user.disable", "user.enable",
                                            "user.groups", "user.remove"});
  for (const char* wrong : {"", "Ann", "-ann", "a b", "a:b", "a*", "<token>", "ü"})
    CHECK_FALSE(UserName::parse(wrong).has_value());
  CHECK_FALSE(UserName::parse(std::string(64, 'a')).has_value());
}

TEST_CASE("passwords: a new one is stored as yescrypt with a salt of its own") {
  const auto one = PasswordHash::make("correct horse"), other = PasswordHash::make("correct horse");
  REQUIRE((one.has_value() && other.has_value()));
  CHECK(one->text().starts_with("$y$jAT$"));
  CHECK(one->text() != other->text());
  CHECK(one->matches("correct horse"));
  CHECK_FALSE(one->matches("correct hors"));
  for (const std::string& bad : {std::string(), std::string(513, 'x'), std::string("a\0b", 3)})
    CHECK_FALSE(PasswordHash::make(bad).has_value());
}

TEST_CASE("first administrator: the token is good once, and for thirty minutes") {
  Directory directory;
  SetClock clock;
  const FirstAdministrator first(directory.path + "/" + FirstAdministrator::file_name);
  CHECK_FALSE(first.check("stele_x", clock.now()).has_value());
  const std::string token = first.make(clock.now()).value();
  struct stat info{};
  REQUIRE(::stat((directory.path + "/" + FirstAdministrator::file_name).c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  std::ifstream file(directory.path + "/" + FirstAdministrator::file_name);
  const std::string stored((std::istreambuf_iterator<char>(file)), {});
  CHECK(stored.find(token.substr(6, 40)) == std::string::npos);

  CHECK(first.check(token, clock.now()).has_value());
  for (const std::string& wrong :
       {std::string(), token.substr(0, token.size() - 1), token + "0", std::string("stele_")})
    CHECK_FALSE(first.check(wrong, clock.now()).has_value());
  constexpr std::int64_t minute = 60'000'000;
  CHECK(first.check(token, clock.now() + 29 * minute).has_value());
  CHECK_FALSE(first.check(token, clock.now() + 30 * minute).has_value());
  // Under a clock that was set back, it does not last longer.
  CHECK_FALSE(first.check(token, clock.now() + -1 * minute).has_value());

  REQUIRE(first.take(token, clock.now()).has_value());
  CHECK_FALSE(first.take(token, clock.now()).has_value());
  first.give_back(token, clock.now() + minute);
  CHECK(first.check(token, clock.now()).has_value());
  // Another one ends it.
  const std::string next = first.make(clock.now()).value();
  CHECK_FALSE(first.check(token, clock.now()).has_value());
  CHECK(first.take(next, clock.now()).has_value());
  // An administrator who came by another way ends it, too.
  const std::string last = first.make(clock.now()).value();
  first.end();
  CHECK_FALSE(first.check(last, clock.now()).has_value());
}

}  // namespace
}  // namespace stele::auth::local_users_test
