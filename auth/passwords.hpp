#pragma once
// Whether a name and a password belong together, by the htpasswd file. Hashing is slow on purpose, hence its
// own few threads, and a memory of what was right and wrong lately, which holds no password: its keys are
// HMACs with a key that this process made for itself. It is emptied as soon as the file is another one.

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "auth/credentials.hpp"
#include "auth/failures.hpp"
#include "auth/htpasswd_file.hpp"
#include "auth/keyed_hash.hpp"
#include "auth/recent.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "base/thread_pool.hpp"

namespace stele::auth {

struct PasswordSettings {
  std::string file;  // htpasswd
  FailureLimits failures = {};
  unsigned threads = 2;      // that hash
  std::size_t waiting = 64;  // attempts that wait for one; more are told to come again
  std::size_t remembered = 10000;
  std::int64_t right_seconds = 300;  // for which a password that was right is not hashed again
  std::int64_t wrong_seconds = 300;
};

// Thread-safe after load_first().
class Passwords {
 public:
  // `clock` should not be one that somebody sets. Both outlive it; `disk` reads the file.
  Passwords(PasswordSettings settings, const Clock& clock, ThreadPool& disk);

  Result<void> load_first() { return file_.load_first(); }
  HtpasswdFile& file() { return file_; }

  // unauthorized, with the same message whether it is the name or the password; too_many_requests with the
  // detail "retry_after" after too many wrong ones; unavailable when too many wait.
  Task<Result<void>> check(const Credentials&, const std::string& address);

  // What changes when the user's password does; empty when there is no such user. Reads the file again first
  // if it is another one.
  Task<std::string> fingerprint(const std::string& user);

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
    std::string key;   // HMAC of user and secret
    std::size_t seed;  // for a decoy: HMAC of the user
    std::shared_ptr<const Htpasswd> users;
  };
  Task<void> renew_file();
  Attempt attempt_of(const Credentials&, const std::string& address) const;
  // What is known without hashing. `retry_after`: seconds, of limited.
  Outcome known(const Attempt&, std::int64_t& retry_after);
  Outcome hash(const Attempt&);
  void forget_others(const std::shared_ptr<const Htpasswd>& users);  // with mutex_ held
  Error refusal(Outcome, std::int64_t retry_after);

  const PasswordSettings settings_;
  const Clock& clock_;
  ThreadPool& disk_;
  const KeyedHash keyed_;
  HtpasswdFile file_;
  mutable std::mutex mutex_;                 // of the rest
  std::shared_ptr<const Htpasswd> of_file_;  // that what is remembered belongs to
  Recent right_, wrong_;
  Failures failures_;
  std::size_t waiting_ = 0;
  Statistics statistics_;
  ThreadPool pool_;  // last: its threads end before what they use
};

}  // namespace stele::auth
