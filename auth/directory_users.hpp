#pragma once
// Users whom a directory knows: logging in with a password, and who they are at each request after that. The
// directory is asked by a few threads; what it said is remembered for as long as the settings say, so that
// neither a pull nor a forgotten job asks it again and again.

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "auth/credentials.hpp"
#include "auth/failures.hpp"
#include "auth/keyed_hash.hpp"
#include "auth/ldap.hpp"
#include "auth/recent.hpp"
#include "base/clock.hpp"
#include "base/keyed_mutex.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "base/thread_pool.hpp"

namespace stele::auth {

struct DirectoryUsersSettings {
  LdapSettings ldap;
  FailureLimits failures = {};
  std::int64_t groups_seconds = 60;  // for which a user's groups, and that he is there, are believed
  std::int64_t right_seconds = 300;  // for which a password that was right is not asked about again
  std::int64_t wrong_seconds = 900;
  unsigned threads = 4;
  std::size_t waiting = 64;
  std::size_t remembered = 10'000;
};

// Thread-safe.
class DirectoryUsers {
 public:
  // `clock` should not be one that somebody sets; it outlives this.
  DirectoryUsers(DirectoryUsersSettings settings, const Clock& clock);

  // unauthorized, too_many_requests and unavailable as Passwords::check() says them; unavailable also when
  // the directory cannot be asked or does not tell all groups. A password that was wrong is not sent to it
  // again, so that nobody's account is locked there by one mistake repeated.
  Task<Result<LdapUser>> check(const Credentials&, const std::string& address,
                               Budget budget = Budget::logins);

  // What check() says of a name that nobody has, at the same cost and counted alike: for a name that another
  // source has, whose wrong password must not be told from that of a made-up name. What was typed stays here.
  Task<Error> refuse(const Credentials&, const std::string& address, Budget budget = Budget::logins);
  // Another source took the password: what was mistyped before is forgotten here as well.
  void forgive(const std::string& user, const std::string& address);

  // By the name that check() found. unauthorized: no longer there.
  Task<Result<LdapUser>> find(const std::string& name);

 private:
  struct Known {
    LdapUser user;
    Timestamp until;
  };
  struct Attempt {
    std::string account;  // in small letters: directories compare names without case
    std::string key;      // HMAC of account and secret: what it is counted by
    std::string memory;   // the same, and another one where the directory is not asked about the secret
    std::string address;
    Budget budget;
    bool as_nobody;  // of refuse()
  };
  // What is remembered: who it is, by the name that rules know, or that it was wrong, or is not looked at.
  // None: the directory has to be asked.
  std::optional<Result<std::string>> remembered(const Attempt&);
  Task<Result<LdapUser>> judge(const Credentials&, const std::string& address, Budget, bool as_nobody);
  Task<Result<LdapUser>> ask(const Credentials&, const Attempt&);
  bool begin();                                   // false: too many wait
  void remember(const LdapUser&, Timestamp now);  // with mutex_ held
  std::shared_ptr<const LdapUser> known(const std::string& name, Timestamp now) const;  // with mutex_ held

  const DirectoryUsersSettings settings_;
  const Clock& clock_;
  const KeyedHash keyed_;
  Ldap ldap_;
  KeyedMutex turns_;          // of attempts with one name and password: the others learn from the first
  mutable std::mutex mutex_;  // of the rest
  std::unordered_map<std::string, Known> users_;
  std::unordered_map<std::string, std::string> names_;  // of right_: as the directory says them
  std::unordered_set<std::string> accounts_;            // of names_: as they are counted
  Recent right_, wrong_;
  Failures failures_;
  std::size_t waiting_ = 0;
  ThreadPool pool_;  // last: its threads end before what they use
};

}  // namespace stele::auth
