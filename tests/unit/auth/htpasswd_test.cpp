#include "auth/htpasswd.hpp"

#include "auth/base64.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/auth/stored_passwords.hpp"

namespace stele::auth {
namespace {

std::string problem(const std::string& text) {
  const auto parsed = Htpasswd::parse(text, "users");
  return parsed ? std::string() : parsed.error().message();
}

TEST_CASE("auth: each stored form holds for its password and for no other") {
  for (const char* text :
       {stored::yescrypt, stored::bcrypt, stored::sha512, stored::pbkdf2_sha256, stored::pbkdf2_sha512}) {
    INFO(text);
    const auto hash = PasswordHash::parse(text);
    REQUIRE(hash.has_value());
    CHECK(hash->matches("correct horse"));
    for (const char* wrong : {"correct hors", "correct horse ", "Correct horse", "x", ""})
      CHECK_FALSE(hash->matches(wrong));
    CHECK_FALSE(hash->matches(std::string(100'000, 'a')));
    // Cut off or longer, it is refused rather than compared with less.
    CHECK_FALSE(PasswordHash::parse(std::string(text).substr(0, std::string(text).size() - 1)).has_value());
    CHECK_FALSE(PasswordHash::parse(std::string(text) + "a").has_value());
  }
  CHECK(PasswordHash::parse(stored::other_bcrypt)->matches("pässword:with colon"));
}

TEST_CASE("auth: what does not protect a password, or would take for ever, is refused and not quoted") {
  const std::string secret = "$apr1$abcdefgh$0123456789abcdefghijkl";
  for (const std::string& text :
       std::initializer_list<std::string>{"",
                                          "plain",
                                          secret,
                                          "{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=",
                                          "$1$abc$def",
                                          "$5$abc$def",
                                          "rqXexS6ZhobKA",
                                          "$2b$03$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e",
                                          "$2b$31$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e",
                                          "$2x$10$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e",
                                          "$2b$10$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6:",
                                          "$6$rounds=999999999$s$" + std::string(86, 'a'),
                                          "$6$rounds=1$s$" + std::string(86, 'a'),
                                          "$y$jDT$" + std::string(22, 'a') + "$" + std::string(43, 'b'),
                                          "$y$zzz$" + std::string(22, 'a') + "$" + std::string(43, 'b'),
                                          "$y$j9T$$" + std::string(43, 'b'),
                                          "$6$$" + std::string(86, 'a'),
                                          "$pbkdf2-sha256$99999999999$MDEyMzQ1Njc4OWFiY2RlZg$abc",
                                          "$pbkdf2-sha256$1000$$abc",
                                          "$pbkdf2-sha1$1000$MDEyMzQ1Njc4OWFiY2RlZg$abc"}) {
    INFO(text);
    const auto parsed = PasswordHash::parse(text);
    REQUIRE_FALSE(parsed.has_value());
    if (text.size() > 20) CHECK(parsed.error().message().find(text.substr(12)) == std::string::npos);
  }
}

TEST_CASE("auth: a file with one bad line is a bad file, and the message names the line") {
  const std::string good = "alice:" + std::string(stored::bcrypt) + "\n";
  const auto parsed = Htpasswd::parse(
      "# people\n\n" + good + "Bob Ü:" + stored::sha512 + "\r\n" + "carol:" + stored::pbkdf2_sha256, "users");
  REQUIRE(parsed.has_value());
  CHECK(parsed->size() == 3);
  CHECK(parsed->find("alice"));
  CHECK(parsed->find("Bob Ü"));
  CHECK(parsed->find("carol"));
  for (const char* nobody : {"Alice", "bob ü", "", "# people"}) CHECK_FALSE(parsed->find(nobody));

  CHECK(problem(good + "bob\n").find("users:2: there is no colon") == 0);
  CHECK(problem(good + "\nbob:secret\n").find("users:3: user \"bob\": the password's form is not known") ==
        0);
  CHECK(problem(good + good).find("users:2: user \"alice\" stands in the file twice") == 0);
  const std::string hash = ":" + std::string(stored::bcrypt) + "\n";
  for (const std::string& name : std::initializer_list<std::string>{
           "", " a", "a ", "a\tb", "<token>", "*", "team-*", "\xff", std::string(256, 'a')}) {
    INFO(name);
    CHECK(problem(good + name + hash).find("users:2: ") == 0);
  }
  CHECK(problem(good + "a" + std::string(1, '\0') + hash).find("users:2: ") == 0);
  CHECK(Htpasswd::parse("", "users")->size() == 0);
}

TEST_CASE("auth: a name that nobody has costs what the users of the file cost") {
  const auto parsed =
      Htpasswd::parse("a:" + std::string(stored::bcrypt) + "\nb:" + stored::sha512 + "\n", "users");
  REQUIRE(parsed.has_value());
  for (std::size_t seed = 0; seed < 10; ++seed) {
    const PasswordHash& decoy = parsed->decoy(seed);
    CHECK((&decoy == parsed->find("a") || &decoy == parsed->find("b")));
    CHECK(&decoy == &parsed->decoy(seed));  // always the same one: else it would differ from a user's
  }
  CHECK(&parsed->decoy(0) != &parsed->decoy(1));
  const auto empty = Htpasswd::parse("", "users");
  CHECK(empty->decoy(3).text().starts_with("$2b$10$"));
}

TEST_CASE("auth: base 64 has one text for each value") {
  CHECK(base64_decode("YWxpY2U6cA==") == "alice:p");
  CHECK(base64_decode("").value().empty());
  for (const char* bad :
       {"YWxpY2U6cA", "YWxpY2U6cA=", "YWxpY2U6cB==", "YWxp Y2U=", "=", "A===", "YWxp\n", "Y-__"})
    CHECK_FALSE(base64_decode(bad));
  for (std::size_t length = 0; length < 70; ++length) {
    std::string bytes;
    for (std::size_t i = 0; i < length; ++i) bytes += static_cast<char>(i * 37 + length);
    const std::string text = base64url_encode(bytes);
    CHECK(text.find('=') == std::string::npos);
    CHECK(base64url_decode(text) == bytes);
  }
  CHECK_FALSE(base64url_decode("YQ=="));
  CHECK_FALSE(base64url_decode("YR"));
  CHECK_FALSE(base64url_decode("a"));
}

}  // namespace
}  // namespace stele::auth
