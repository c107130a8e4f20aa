#pragma once
// A directory that knows users and their groups (LDAP, RFC 4511; Active Directory too): a search finds the
// user, a bind with the user's own name proves the password, a second search finds the groups.

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace stele::auth {

struct LdapSettings {
  std::vector<std::string>
      urls;               // ldaps://host[:port], ldap://host[:port]; the next where one is not reached
  bool start_tls = true;  // with ldap://
  std::string ca;         // PEM; empty: the system's
  std::string bind_dn;    // who searches; empty: nobody (anonymous)
  std::string bind_password_file;  // of bind_dn; read at each connection, so that it can be replaced
  std::string user_base;
  std::string user_filter;  // {user} stands for the name that was typed
  std::string user_attribute = "uid";
  std::string group_base;    // empty: there are no groups
  std::string group_filter;  // {dn} stands for the user's entry, {user} for the name
  std::string group_attribute = "cn";
  std::int64_t seconds = 5;  // for one answer
};

struct LdapUser {
  std::string name;  // what the directory says, in lower case: however it was typed, it is one user
  std::string dn;
  std::vector<std::string> groups;

  // Another one: another entry.
  std::string fingerprint() const;
};

// Thread-safe. Each call is a connection of its own and blocks for some seconds at most: never on an I/O
// thread.
class Ldap {
 public:
  static constexpr std::size_t most_groups = 10'000;  // of one user

  explicit Ldap(LdapSettings settings) : settings_(std::move(settings)) {}

  // unauthorized: there is no such user, more than one, or the password is another one; unavailable: no
  // directory could be asked, or its answer was not complete. Never asks with an empty password, which
  // directories take for nobody's (RFC 4513, 5.1.2). A name that nobody has costs what a wrong password does:
  // as many connections, searches and binds.
  Result<LdapUser> check(const std::string& name, const std::string& password);

  // The same without a password: whether the user is still there, and in which groups.
  Result<LdapUser> find(const std::string& name);

  // What check() says of a name that nobody has, at the same cost, whoever has the name there: for one whose
  // password is not for the directory. The bind is nobody's, so that it counts against no account there.
  Error refuse(const std::string& name);

  const LdapSettings& settings() const { return settings_; }

 private:
  // With whose password: that of the name's owner, which is shown; nobody's; or none, by which only who
  // searches asks.
  enum class Proof { owners, nobodys, none };
  Result<LdapUser> ask(const std::string& name, Proof, const std::string& password = {});
  // One server. Without a value: another one may do better, for the reason in `failure`.
  struct Failure;
  std::optional<Result<LdapUser>> ask_server(const std::string& url, const std::string& secret,
                                             const std::string& name, Proof, const std::string& password,
                                             Failure& failure) const;

  const LdapSettings settings_;
  std::atomic<std::size_t> last_good_{0};  // where the next one begins
};

// With what would mean something in a filter escaped (RFC 4515, section 3).
std::string escaped_for_filter(std::string_view text);

}  // namespace stele::auth
