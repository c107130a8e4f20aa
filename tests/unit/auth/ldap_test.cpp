// What is asked of a directory; the rest is tried against a real one, tests/ldap/.
#include "auth/ldap.hpp"

#include "tests/support/catch.hpp"

namespace stele::auth {
namespace {

TEST_CASE("auth: what was typed stands for itself in a filter (RFC 4515)") {
  CHECK(escaped_for_filter("alice.smith-1@example") == "alice.smith-1@example");
  CHECK(escaped_for_filter("a*)(uid=*") == "a\\2a\\29\\28uid=\\2a");
  CHECK(escaped_for_filter("\\2a") == "\\5c2a");
  CHECK(escaped_for_filter(std::string_view("\0\n\x7f", 3)) == "\\00\\0a\\7f");
  CHECK(escaped_for_filter("\xc3\xa9") == "\\c3\\a9");
  CHECK(escaped_for_filter("cn=Doe\\, Jane #1,ou=people") == "cn=Doe\\5c, Jane #1,ou=people");
  CHECK(escaped_for_filter("").empty());
}

TEST_CASE("auth: no directory is asked about an empty password, nor about a name or password with a NUL") {
  LdapSettings settings;
  settings.urls = {"ldap://127.0.0.1:1"};  // an attempt to ask would be `unavailable`
  settings.start_tls = false;
  Ldap ldap(settings);
  const std::string nul("a\0b", 3);
  for (const auto& [name, password] :
       {std::pair<std::string, std::string>("alice", ""), {"alice", nul}, {"", "secret"}, {nul, "secret"}}) {
    const auto answer = ldap.check(name, password);
    REQUIRE_FALSE(answer.has_value());
    CHECK(answer.error().code() == Errc::unauthorized);
  }
  CHECK(ldap.check("alice", "secret").error().code() == Errc::unavailable);
  CHECK(ldap.find("alice").error().code() == Errc::unavailable);
}

TEST_CASE("auth: without the searcher's password no directory is asked anonymously") {
  LdapSettings settings;
  settings.urls = {"ldap://127.0.0.1:1"};
  settings.bind_dn = "cn=stele";
  settings.bind_password_file = "/nonexistent/secret";
  const auto answer = Ldap(settings).check("alice", "secret");
  REQUIRE_FALSE(answer.has_value());
  CHECK(answer.error().message().find("bind_password_file") != std::string::npos);
}

}  // namespace
}  // namespace stele::auth
