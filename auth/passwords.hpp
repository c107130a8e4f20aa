#pragma once
// Whether a name and a password belong together: by the htpasswd file, and for names that do not stand there
// by the local users. Hashing is slow on purpose, hence its own few threads, and a memory of what was right
// and wrong lately, which holds no password: its keys are HMACs with a key that this process made for itself.
// It is emptied as soon as the file is another one; of a local user whose password has changed it knows
// nothing.

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "auth/credentials.hpp"
#include "auth/failures.hpp"
#include "auth/htpasswd_file.hpp"
#include "auth/keyed_hash.hpp"
#include "auth/local_users.hpp"
#include "auth/recent.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "base/thread_pool.hpp"

namespace stele::auth {

struct PasswordSettings {
  std::string file;  // htpasswd; empty: there is none
  FailureLimits failures = {};
  unsigned threads = 2;      // that hash
  std::size_t waiting = 64;  // attempts that wait for one; more are told to come again
  std::size_t remembered = 10000;
  std::int64_t right_seconds = 300;  // for which a password that was right is not hashed again
  std::int64_t wrong_seconds = 300;
};

// Somebody with a password here.
struct PasswordUser {
  std::string name;                      // as rules know him
  std::string fingerprint;               // changes when his password does, or when he is another one
  std::vector<std::string> groups = {};  // of a local user
  bool disabled = false;                 // he may not log in, and no other source is asked for his name
};

// Thread-safe after load_first() and attach().
class Passwords {
 public:
  // `clock` should not be one that somebody sets. Both outlive it; `disk` reads the file.
  Passwords(PasswordSettings settings, const Clock& clock, ThreadPool& disk);

  Result<void> load_first();
  // Local users, too, who outlive it; before anybody is asked about.
  void attach(const LocalUsers& local) { local_ = &local; }
  // Null: there is none.
  HtpasswdFile* file() { return file_ ? &*file_ : nullptr; }

  // Who it is. unauthorized, with the same message whether it is the name or the password, or that he is
  // disabled; too_many_requests with the detail "retry_after" after too many wrong ones; unavailable when too
  // many wait; what reading the catalog comes to.
  Task<Result<PasswordUser>> check(const Credentials&, const std::string& address,
                                   Budget budget = Budget::logins);

  // For a name that nobody has here, which another source does not let in: what a wrong password costs, and
  // counts, so that the answer does not tell which source has the name. `told`: that source has said that it
  // is wrong; otherwise nobody could tell, and only the account is charged: a hundred people who come again
  // and again while their directory is down keep nobody else at their address from logging in.
  Task<Error> refuse(const Credentials&, const std::string& address, Budget budget, bool told);
  // The part of check() and refuse() that says too_many_requests for the account, before another source is
  // asked about it.
  Result<void> account_may_try(const std::string& user, const std::string& address);
  // Another source took the password: what was mistyped before is forgotten here as well.
  void forgive(const std::string& user, const std::string& address);

  // Whose name this is, as it was typed; none: nobody's here. Reads the file again first if it is another
  // one. What reading the catalog comes to.
  Task<Result<std::optional<PasswordUser>>> find(const std::string& name);

  // The hash of a new password, made on the pool: after those that wait, but not refused because of them, so
  // that who guesses keeps no administrator from changing one. What PasswordHash::make() says.
  Task<Result<PasswordHash>> make(std::string password);

  // Nobody has a password here.
  bool has_nobody() const { return !file_ && (!local_ || !local_->had_any()); }

  struct Statistics {
    std::uint64_t hashed = 0;   // passwords
    std::uint64_t refused = 0;  // unauthorized
    std::uint64_t limited = 0;  // too_many_requests
  };
  Statistics statistics() const;

 private:
  enum class Outcome { right, wrong, limited, busy, unknown };
  struct Attempt {
    std::string user, secret, address;
    std::string
        account;  // the user in small letters, whether there is one or not: whom wrong ones are counted for
    std::string key;  // HMAC of account and secret: what they are counted by
    std::string
        memory;  // HMAC of the user as typed, secret, and what is stored of a local one: what is remembered
    Budget budget = Budget::logins;
    bool charges_address = true;                  // when it is wrong; the account is charged in any case
    std::size_t seed = 0;                         // for a decoy: HMAC of the account
    std::shared_ptr<const Htpasswd> users = {};   // null: there is no file
    std::optional<PasswordUser> known = {};       // none: nobody has this name
    std::optional<PasswordHash> local_hash = {};  // of a local user
  };
  Task<void> renew_file();
  Result<Attempt> attempt_of(const Credentials&, const std::string& address) const;
  bool matches(const Attempt&) const;  // takes the time of a hash, whoever it is
  // What is known without hashing. `retry_after`: seconds, of limited.
  Outcome known(const Attempt&, std::int64_t& retry_after);
  Outcome hash(const Attempt&);
  Task<Result<PasswordUser>> judge(const Credentials&, const std::string& address, Budget,
                                   bool charges_address);
  void record(const Attempt&, Timestamp now);                        // with mutex_ held
  void forget_others(const std::shared_ptr<const Htpasswd>& users);  // with mutex_ held
  Error refusal(Outcome, std::int64_t retry_after);

  const PasswordSettings settings_;
  const Clock& clock_;
  ThreadPool& disk_;
  const KeyedHash keyed_;
  std::optional<HtpasswdFile> file_;
  const LocalUsers* local_ = nullptr;
  mutable std::mutex mutex_;                 // of the rest
  std::shared_ptr<const Htpasswd> of_file_;  // that what is remembered belongs to
  Recent right_, wrong_;
  Failures failures_;
  std::size_t waiting_ = 0;
  Statistics statistics_;
  ThreadPool pool_;  // last: its threads end before what they use
};

}  // namespace stele::auth
