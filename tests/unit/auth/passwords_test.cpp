#include "auth/passwords.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "base/random.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/auth/set_clock.hpp"
#include "tests/unit/auth/stored_passwords.hpp"

namespace stele::auth::passwords_test {
namespace {

// Passwords over a file of its own.
struct Fixture {
  Fixture() { write("alice:" + std::string(stored::bcrypt) + "\n"); }
  ~Fixture() { std::filesystem::remove(path); }

  void write(const std::string& text) const {
    const std::string next = path + ".next";
    std::ofstream(next, std::ios::binary) << text;
    std::filesystem::rename(next, path);
  }
  Errc check(const std::string& user, const std::string& secret, const std::string& address = "192.0.2.1",
             Budget budget = Budget::logins) {
    Credentials credentials;
    credentials.scheme = Credentials::Scheme::basic;
    credentials.user = user;
    credentials.secret = secret;
    const auto checked = sync_wait(passwords->check(credentials, address, budget));
    if (checked) return right;
    last = checked.error().message();
    return checked.error().code();
  }
  std::string fingerprint(const std::string& user) const {
    const auto found = sync_wait(passwords->find(user));
    REQUIRE(found.has_value());
    return *found ? (*found)->fingerprint : std::string();
  }
  std::uint64_t hashed() const { return passwords->statistics().hashed; }
  void open(PasswordSettings settings = {}) {
    settings.file = path;
    passwords = std::make_unique<Passwords>(std::move(settings), clock, disk);
    REQUIRE(passwords->load_first().has_value());
  }

  static constexpr Errc right = Errc::internal;  // in place of "no error"
  const std::string path =
      (std::filesystem::temp_directory_path() / ("stele-users-" + random_hex(8))).string();
  SetClock clock;
  ThreadPool disk{"test-disk", 1};
  std::unique_ptr<Passwords> passwords;
  std::string last;
};

TEST_CASE("auth: the right password is right, all else is refused with the same words") {
  Fixture of;
  of.open();
  CHECK(of.check("alice", "correct horse") == Fixture::right);
  CHECK(of.check("alice", "wrong") == Errc::unauthorized);
  const std::string words = of.last;
  CHECK(of.check("nobody", "correct horse") == Errc::unauthorized);
  CHECK(of.last == words);
  for (const char* name : {"Alice", "", "alice ", "alice\n"}) {
    CHECK(of.check(name, "correct horse") == Errc::unauthorized);
    CHECK(of.last == words);
  }
  CHECK(of.check("alice", "") == Errc::unauthorized);
  CHECK(of.check("alice", std::string(30'000, 'x')) == Errc::unauthorized);
  CHECK(of.last == words);
}

TEST_CASE("auth: each password is hashed once, right or wrong, of a user or of nobody") {
  Fixture of;
  of.open();
  for (int i = 0; i < 5; ++i) CHECK(of.check("alice", "correct horse") == Fixture::right);
  CHECK(of.hashed() == 1);
  for (int i = 0; i < 5; ++i) CHECK(of.check("alice", "wrong") == Errc::unauthorized);
  CHECK(of.hashed() == 2);
  for (int i = 0; i < 5; ++i) CHECK(of.check("nobody", "wrong") == Errc::unauthorized);
  CHECK(of.hashed() == 3);
  of.clock.time = of.clock.time + 301 * std::int64_t{1'000'000};
  CHECK(of.check("alice", "correct horse") == Fixture::right);
  CHECK(of.check("nobody", "wrong") == Errc::unauthorized);
  CHECK(of.hashed() == 5);
}

TEST_CASE("auth: what is remembered ends with the file") {
  Fixture of;
  of.open();
  CHECK(of.check("alice", "correct horse") == Fixture::right);
  CHECK(of.check("bob", "correct horse") == Errc::unauthorized);
  const std::string before = of.fingerprint("alice");
  CHECK_FALSE(before.empty());
  // Gone: at the very next request, though it was right a moment ago.
  of.write("bob:" + std::string(stored::sha512) + "\n");
  CHECK(of.check("alice", "correct horse") == Errc::unauthorized);
  CHECK(of.fingerprint("alice").empty());
  // Come: though it was wrong a moment ago.
  CHECK(of.check("bob", "correct horse") == Fixture::right);
  // Another password.
  of.write("alice:" + std::string(stored::other_bcrypt) + "\n");
  CHECK(of.check("alice", "correct horse") == Errc::unauthorized);
  CHECK(of.check("alice", "pässword:with colon") == Fixture::right);
  CHECK(of.fingerprint("alice") != before);
  CHECK(of.check("bob", "correct horse") == Errc::unauthorized);
}

TEST_CASE("auth: the same size at the same time hides no other file") {
  Fixture of;
  of.open();
  CHECK(of.check("alice", "correct horse") == Fixture::right);
  struct stat info{};
  REQUIRE(::stat(of.path.c_str(), &info) == 0);
  {
    std::fstream file(of.path, std::ios::in | std::ios::out | std::ios::binary);  // the same inode
    file << "alicf:" << stored::bcrypt << "\n";
  }
  const timespec times[] = {info.st_atim, info.st_mtim};
  REQUIRE(::utimensat(AT_FDCWD, of.path.c_str(), times, 0) == 0);
  CHECK(of.check("alice", "correct horse") == Errc::unauthorized);
  CHECK(of.check("alicf", "correct horse") == Fixture::right);
}

TEST_CASE("auth: a file that cannot be used leaves the one before in force, and says so") {
  Fixture of;
  of.open();
  const std::string good = "alice:" + std::string(stored::bcrypt) + "\n";
  for (const std::string& bad : {good + "bob:plain\n", std::string("alice\n"), good + good}) {
    of.write(bad);
    CHECK(of.check("alice", "correct horse") == Fixture::right);
    CHECK(of.check("bob", "plain") == Errc::unauthorized);
    const auto standing = of.passwords->file()->renew();
    REQUIRE_FALSE(standing.has_value());
    CHECK(standing.error().message().starts_with(of.path + ":"));
  }
  std::filesystem::remove(of.path);
  CHECK(of.check("alice", "correct horse") == Fixture::right);
  CHECK_FALSE(of.passwords->file()->renew().has_value());
  of.write("bob:" + std::string(stored::sha512) + "\n");
  CHECK(of.passwords->file()->renew().has_value());
  CHECK(of.check("alice", "correct horse") == Errc::unauthorized);
  CHECK(of.check("bob", "correct horse") == Fixture::right);

  of.write("alice\n");
  Passwords none({.file = of.path}, of.clock, of.disk);
  CHECK_FALSE(none.load_first().has_value());
}

TEST_CASE("auth: a forgotten job's old password counts once, wherever it comes from") {
  Fixture of;
  of.open();
  for (int round = 0; round < 20; ++round) {
    for (int host = 0; host < 50; ++host)
      CHECK(of.check("alice", "old", "192.0.2." + std::to_string(host)) == Errc::unauthorized);
  }
  CHECK(of.hashed() == 1);
  CHECK(of.check("alice", "correct horse", "192.0.2.7") == Fixture::right);
  CHECK(of.check("alice", "correct horse", "198.51.100.1") == Fixture::right);
}

TEST_CASE("auth: guessing ends at its address, and nowhere else") {
  Fixture of;
  of.open();
  CHECK(of.check("alice", "correct horse") == Fixture::right);  // remembered: no way around the limit
  for (int i = 0; i < 10; ++i) CHECK(of.check("alice", "guess" + std::to_string(i)) == Errc::unauthorized);
  const auto hashed = of.hashed();
  for (int i = 10; i < 20; ++i)
    CHECK(of.check("alice", "guess" + std::to_string(i)) == Errc::too_many_requests);
  CHECK(of.check("alice", "correct horse") == Errc::too_many_requests);
  CHECK(of.last.find("900 seconds") != std::string::npos);
  CHECK(of.hashed() == hashed);
  // The owner elsewhere, and others here, do not notice.
  CHECK(of.check("alice", "correct horse", "198.51.100.1") == Fixture::right);
  CHECK(of.check("bob", "x") == Errc::unauthorized);
  of.clock.time = of.clock.time + 901 * std::int64_t{1'000'000};
  CHECK(of.check("alice", "correct horse") == Fixture::right);
}

TEST_CASE("auth: many guesses at once are no more than one after the other") {
  Fixture of;
  of.open();
  std::vector<std::thread> guessing;
  std::atomic<int> let_in = 0;
  for (int i = 0; i < 40; ++i) {
    guessing.emplace_back([&of, &let_in, i] {
      Credentials guess;
      guess.user = "alice";
      guess.secret = "guess" + std::to_string(i);
      if (sync_wait(of.passwords->check(guess, "192.0.2.1"))) ++let_in;
    });
  }
  for (auto& thread : guessing) thread.join();
  CHECK(let_in == 0);
  CHECK(of.hashed() == 10);
  CHECK(of.check("alice", "correct horse") == Errc::too_many_requests);
}

TEST_CASE("auth: made-up names from an address that has guessed enough push no lock out (I10)") {
  Fixture of;
  PasswordSettings settings;
  settings.failures.per_address = 20;
  settings.failures.most = 30;
  of.open(settings);
  for (int i = 0; i < 10; ++i) CHECK(of.check("alice", "guess" + std::to_string(i)) == Errc::unauthorized);
  for (int i = 0; i < 100; ++i) (void)of.check("nobody" + std::to_string(i), "x");
  CHECK(of.check("alice", "correct horse") == Errc::too_many_requests);
}

TEST_CASE("auth: beyond an address's budget a name is answered alike whether somebody has it or not") {
  Fixture of;
  PasswordSettings settings;
  settings.failures.per_address = 20;
  of.open(settings);
  for (int i = 0; i < 20; ++i) CHECK(of.check("user" + std::to_string(i), "x") == Errc::unauthorized);
  of.clock.pass(60);
  const auto answers_for = [&](const std::string& user) {
    std::vector<std::string> answers;
    for (int i = 0; i < 12; ++i) {
      CHECK(of.check(user, "guess" + std::to_string(i)) == Errc::too_many_requests);
      answers.push_back(of.last);
    }
    return answers;
  };
  const auto of_alice = answers_for("alice"), of_nobody = answers_for("nobody");
  CHECK(of_alice == of_nobody);
  CHECK(of_alice.front() != of_alice.back());  // the account's lock began later than the address's
  // Also when the address may try again, and the account not yet.
  of.clock.pass(850);
  CHECK(of.check("user20", "x") == Errc::unauthorized);
  CHECK(of.check("alice", "correct horse") == Errc::too_many_requests);
  CHECK(of.check("nobody", "correct horse") == Errc::too_many_requests);
}

TEST_CASE("auth: a name that nobody has is limited like one that somebody has") {
  Fixture of;
  of.open();
  for (int i = 0; i < 10; ++i) CHECK(of.check("nobody", "guess" + std::to_string(i)) == Errc::unauthorized);
  CHECK(of.check("nobody", "another") == Errc::too_many_requests);
}

TEST_CASE("auth: one password tried on many names ends at its address") {
  Fixture of;
  PasswordSettings settings;
  settings.failures.per_address = 20;
  of.open(settings);
  CHECK(of.check("alice", "correct horse") == Fixture::right);
  for (int i = 0; i < 20; ++i)
    CHECK(of.check("user" + std::to_string(i), "Winter2026") == Errc::unauthorized);
  CHECK(of.check("user20", "Winter2026") == Errc::too_many_requests);
  // Whoever shares the address and has proved it lately goes on.
  CHECK(of.check("alice", "correct horse") == Fixture::right);
  CHECK(of.check("user20", "Winter2026", "198.51.100.1") == Errc::unauthorized);
  // Guesses at what is remembered are counted meanwhile, though nothing is hashed.
  for (int i = 0; i < 10; ++i)
    CHECK(of.check("alice", "guess" + std::to_string(i)) == Errc::too_many_requests);
  CHECK(of.check("alice", "correct horse") == Errc::too_many_requests);
}

TEST_CASE(
    "auth: logins that are for another registry keep nobody of their address from logging in, nor guess") {
  Fixture of;
  of.open();
  const std::string here = "192.0.2.1";
  for (int i = 0; i < 100; ++i) {
    const std::string number = std::to_string(i);
    CHECK(of.check("hub" + number, "secret" + number, here, Budget::mirrored) == Errc::unauthorized);
  }
  // As many as one address may be wrong: what comes by such requests is not looked at any more, right or not.
  const auto hashed = of.hashed();
  CHECK(of.check("alice", "correct horse", here, Budget::mirrored) == Errc::too_many_requests);
  CHECK(of.check("alice", "wrong", here, Budget::mirrored) == Errc::too_many_requests);
  CHECK(of.hashed() == hashed);
  // Others log in.
  CHECK(of.check("alice", "correct horse", here) == Fixture::right);
  CHECK(of.check("alice", "correct horse", "192.0.2.2", Budget::mirrored) == Fixture::right);
  // Of an account there is one budget, whatever the requests.
  for (int i = 0; i < 10; ++i) {
    const Budget budget = i % 2 ? Budget::mirrored : Budget::logins;
    CHECK(of.check("alice", "guess" + std::to_string(i), "192.0.2.3", budget) == Errc::unauthorized);
  }
  for (const Budget budget : {Budget::mirrored, Budget::logins})
    CHECK(of.check("alice", "correct horse", "192.0.2.3", budget) == Errc::too_many_requests);
}

TEST_CASE(
    "auth: one customer's IPv6 addresses are one, and what is remembered of failures is bounded (I10)") {
  CHECK(Failures::network_of("2001:db8:1:2:3:4:5:6") == Failures::network_of("2001:db8:1:2::1"));
  CHECK(Failures::network_of("2001:db8:1:2::1") != Failures::network_of("2001:db8:1:3::1"));
  CHECK(Failures::network_of("192.0.2.1") != Failures::network_of("192.0.2.2"));
  CHECK(Failures::network_of("::ffff:192.0.2.1") != Failures::network_of("::ffff:192.0.2.2"));

  Failures failures({.per_account = 1, .per_address = 1000, .seconds = 60, .most = 8});
  const Timestamp now{0};
  for (int i = 0; i < 100; ++i) failures.record("user" + std::to_string(i), "192.0.2.1", "s", now);
  int remembered = 0;
  for (int i = 0; i < 100; ++i)
    remembered += failures.account_waits("user" + std::to_string(i), "192.0.2.1", now).has_value() ? 1 : 0;
  CHECK(remembered == 8);
  CHECK(failures.account_waits("user99", "192.0.2.1", now) == 60);

  Recent recent(4, 10);
  for (int i = 0; i < 100; ++i) recent.insert(std::to_string(i), now);
  CHECK(recent.size() == 4);
  CHECK(recent.contains("99", now));
  CHECK_FALSE(recent.contains("99", now + 10'000'000));
}

TEST_CASE("auth: more attempts than can wait are told to come again") {
  Fixture of;
  PasswordSettings settings;
  settings.waiting = 0;
  of.open(settings);
  CHECK(of.check("alice", "correct horse") == Errc::unavailable);
}

}  // namespace
}  // namespace stele::auth::passwords_test
