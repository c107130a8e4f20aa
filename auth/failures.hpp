#pragma once
// How often somebody was wrong: what is counted is different wrong passwords, so that a forgotten job that
// repeats an old one forever counts once. Per account at an address, so that nobody locks an account's owner
// out from elsewhere; and per address, against one password tried on many accounts.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.hpp"

namespace stele::auth {

struct FailureLimits {
  std::size_t per_account = 10;  // at one address
  std::size_t per_address = 100;
  std::int64_t seconds = 15 * 60;  // after which a failure is forgotten
  std::size_t most =
      16384;  // accounts at addresses, made-up ones, and addresses, that are remembered of each
};

// What an address has of each: dockerd sends a mirror the login that it has for Docker Hub, and a hundred
// developers behind one address are not to keep each other from logging in. Nobody guesses for nothing by
// such requests either: when their own budget is used up, what they present is not looked at any more.
enum class Budget {
  logins,
  mirrored,  // of requests that are answered as anybody's when their login does not hold
};

// Not thread-safe.
class Failures {
 public:
  explicit Failures(FailureLimits limits)
      : limits_(limits),
        accounts_(limits.most),
        made_up_(limits.most),
        addresses_(limits.most),
        mirrored_(limits.most) {}

  // `secret`: a keyed hash of the account and the password. Once for each. Of an account there is one budget.
  void record(const std::string& account, const std::string& address, const std::string& secret,
              Timestamp now, Budget budget = Budget::logins);
  // Of a name that nobody has, from an address that has used up its own budget: counted like others, so that
  // its answers stay those of a name that somebody has, and apart from them, so that however many such names
  // are tried none that is locked is pushed out.
  void record_made_up(const std::string& account, const std::string& address, const std::string& secret,
                      Timestamp now);
  // An attempt begins, whose outcome nobody knows yet: of the account it counts as a wrong one until
  // forgive() or withdraw(), so that many at once are no more than one after the other.
  void begin(const std::string& account, const std::string& address, const std::string& secret,
             Timestamp now);
  // Nobody could tell whether it was right.
  void withdraw(const std::string& account, const std::string& address, const std::string& secret);
  // The password was right: what was mistyped before is forgotten, for this account at this address.
  void forgive(const std::string& account, const std::string& address);

  // In how many seconds another attempt may be made; without a value: now.
  std::optional<std::int64_t> account_waits(const std::string& account, const std::string& address,
                                            Timestamp now);
  std::optional<std::int64_t> address_waits(const std::string& address, Timestamp now,
                                            Budget budget = Budget::logins);

  // The address, or the /64 of an IPv6 address, which is what one customer has.
  static std::string network_of(const std::string& address);

 private:
  struct Failure {
    std::string secret;
    Timestamp at;
  };
  class Table {
   public:
    explicit Table(std::size_t most) : most_(most) {}
    std::vector<Failure>* find(const std::string& key);
    std::vector<Failure>& at(const std::string& key);
    void erase(const std::string& key) { entries_.erase(key); }

   private:
    const std::size_t most_;
    std::unordered_map<std::string, std::vector<Failure>> entries_;
    std::deque<std::string> order_;  // as they came; may name what has gone
  };
  void add(std::vector<Failure>&, std::size_t most, const std::string& secret, Timestamp now) const;
  void drop_old(std::vector<Failure>&, Timestamp now) const;
  std::optional<std::int64_t> waits(std::vector<Failure>*, std::size_t most, Timestamp now) const;
  static std::string pair_of(const std::string& account, const std::string& network);
  std::vector<Failure>& account_at(const std::string& pair);

  const FailureLimits limits_;
  Table accounts_, made_up_;  // a pair of account and network stands in one of them
  Table addresses_, mirrored_;
};

}  // namespace stele::auth
