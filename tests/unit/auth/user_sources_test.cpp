// A file of users beside a directory that is down; with one that answers: tests/ldap/.
#include <filesystem>
#include <fstream>
#include <memory>

#include "auth/authenticator.hpp"
#include "base/random.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/auth/set_clock.hpp"
#include "tests/unit/auth/stored_passwords.hpp"

namespace stele::auth::user_sources_test {
namespace {

struct NoBody final : http::BodySource {
  Task<Result<std::size_t>> read_some(ByteSpan) override { co_return std::size_t(0); }
  Result<std::optional<std::size_t>> read_arrived(ByteSpan) override { return std::optional<std::size_t>(0); }
  Task<void> wait() override { co_return; }
};

struct Fixture {
  Fixture() {
    std::ofstream(path) << "alice:" << stored::bcrypt << "\n";
    PasswordSettings of_file;
    of_file.file = path;
    passwords = std::make_unique<Passwords>(std::move(of_file), clock, disk);
    REQUIRE(passwords->load_first().has_value());
    DirectoryUsersSettings unreachable;
    unreachable.ldap.urls = {"ldap://127.0.0.1:1"};
    unreachable.ldap.start_tls = false;
    directory = std::make_unique<DirectoryUsers>(std::move(unreachable), clock);
    AuthenticatorSettings settings;
    settings.login = true;
    settings.directory = directory.get();
    settings.passwords = passwords.get();
    settings.counts = &counts;
    authenticator = std::make_unique<Authenticator>(std::move(settings));
  }
  ~Fixture() { std::filesystem::remove(path); }

  // What is answered, in full: "" when it is right.
  std::string answer(const std::string& user, const std::string& secret,
                     const std::string& address = "192.0.2.1") {
    const http::RequestHead request;
    http::Peer peer;
    peer.address = address;
    NoBody body;
    http::MemoryBudget memory(1 << 20);
    const http::Exchange exchange(request, peer, "1", body, memory);
    Credentials credentials;
    credentials.scheme = Credentials::Scheme::basic;
    credentials.user = user;
    credentials.secret = secret;
    const auto identity = sync_wait(authenticator->by_password(exchange, credentials));
    if (identity) return {};
    return std::to_string(static_cast<int>(identity.error().code())) + ' ' + identity.error().message();
  }

  const std::string path =
      (std::filesystem::temp_directory_path() / ("stele-sources-" + random_hex(8))).string();
  SetClock clock;
  ThreadPool disk{"test-disk", 1};
  LoginCounts counts;
  std::unique_ptr<Passwords> passwords;
  std::unique_ptr<DirectoryUsers> directory;
  std::unique_ptr<Authenticator> authenticator;
};

TEST_CASE(
    "auth: while the directory is down a wrong password tells no user of the file from a made-up name") {
  Fixture of;
  CHECK(of.answer("alice", "correct horse").empty());
  const std::string words = of.answer("nobody", "wrong");
  CHECK(words.find("the directory of users cannot be asked") != std::string::npos);
  for (const char* name : {"alice", "ALICE", "Alice", "nobody"}) CHECK(of.answer(name, "wrong") == words);
  CHECK(of.answer("ALICE", "correct horse") == words);
  CHECK(of.answer("alice", "correct horse").empty());
  // Nor does what is counted: from an address where nobody was right.
  for (int number = 0; number < 12; ++number) {
    const std::string guess = "guess " + std::to_string(number), from = "192.0.2.2";
    const std::string said = of.answer("alice", guess, from);
    CHECK(said == of.answer("nobody", guess, from));
    CHECK(said.find("too many wrong passwords") == (number < 10 ? std::string::npos : said.find("too many")));
  }
  CHECK(of.answer("alice", "correct horse", "192.0.2.3").empty());
}

TEST_CASE("auth: a wrong password costs a hash, whoever has the name, and is remembered") {
  Fixture of;
  for (const char* name : {"alice", "nobody"}) {
    const std::uint64_t before = of.passwords->statistics().hashed;
    for (int turn = 0; turn < 3; ++turn) (void)of.answer(name, "wrong");
    CHECK(of.passwords->statistics().hashed == before + 1);
  }
}

TEST_CASE("auth: a directory that is down costs nobody else at the address his login") {
  Fixture of;
  for (int number = 0; number < 150; ++number)
    (void)of.answer("of the directory " + std::to_string(number), "his password");
  CHECK(of.answer("alice", "correct horse").empty());
}

}  // namespace
}  // namespace stele::auth::user_sources_test
