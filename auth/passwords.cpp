#include "auth/passwords.hpp"

#include <cstring>
#include <utility>

#include "auth/wrong_login.hpp"
#include "base/text.hpp"

namespace stele::auth {
namespace {

// Whoever pushes and pulls goes before whoever logs in.
constexpr int hashing_niceness = 5;

}  // namespace

Passwords::Passwords(PasswordSettings settings, const Clock& clock, ThreadPool& disk)
    : settings_(std::move(settings)),
      clock_(clock),
      disk_(disk),
      right_(settings_.remembered, settings_.right_seconds),
      wrong_(settings_.remembered, settings_.wrong_seconds),
      failures_(settings_.failures),
      pool_("stele-passwords", settings_.threads, hashing_niceness) {
  if (!settings_.file.empty()) file_.emplace(settings_.file);
}

Result<void> Passwords::load_first() {
  if (!file_) return {};
  return file_->load_first();
}

namespace {

PasswordUser user_of(LocalUser local) {
  PasswordUser user;
  user.fingerprint = local.fingerprint();
  user.disabled = local.disabled();
  user.name = std::move(local.row.name);
  user.groups = std::move(local.groups);
  return user;
}

PasswordUser user_of(const std::string& name, const PasswordHash& hash) {
  PasswordUser user;
  user.name = name;
  user.fingerprint = hash.fingerprint();
  return user;
}

// The password of nobody, whose form and cost those of local users have.
const PasswordHash& local_decoy() {
  static const PasswordHash decoy =
      PasswordHash::parse("$y$jAT$V8Fp8bjf/8vmAHCwqXtDw0$yWmXi6waUdTe9/WPPFZopciiP68hyfaYtpKWEkHRI30")
          .value();
  return decoy;
}

}  // namespace

Result<Passwords::Attempt> Passwords::attempt_of(const Credentials& credentials,
                                                 const std::string& address) const {
  Attempt attempt;
  attempt.user = credentials.user;
  attempt.secret = credentials.secret;
  attempt.address = address;
  if (file_) attempt.users = file_->users();
  const PasswordHash* const in_file = attempt.users ? attempt.users->find(attempt.user) : nullptr;
  std::string stored;
  if (in_file) {
    attempt.known = user_of(attempt.user, *in_file);
  } else if (local_) {
    auto found = local_->find(attempt.user);
    if (!found) return found.error();
    if (*found) {
      auto hash = PasswordHash::parse((*found)->row.password);
      if (!hash) return Error(Errc::corrupt, "the catalog's password of a local user cannot be read");
      attempt.local_hash = std::move(*hash);
      attempt.known = user_of(std::move(**found));
      stored = attempt.known->fingerprint + '\0';
    }
  }
  // However a name is typed, guesses are counted together, and each spelling costs its hash. Nothing here
  // depends on whether somebody has the name.
  attempt.account = lower_case(attempt.user);
  attempt.key = keyed_.of(attempt.account, attempt.secret);  // no name has a NUL
  attempt.memory = keyed_.of("of " + attempt.user, stored + attempt.secret);
  const std::string of_name = keyed_.of("decoy", attempt.account);
  std::memcpy(&attempt.seed, of_name.data(), sizeof attempt.seed);
  return attempt;
}

// A name that nobody has is given somebody's hash, each in as many cases as there are users of its kind.
bool Passwords::matches(const Attempt& attempt) const {
  const bool may = attempt.known && !attempt.known->disabled;
  if (attempt.local_hash) return attempt.local_hash->matches(attempt.secret) && may;
  const PasswordHash* const in_file = attempt.users ? attempt.users->find(attempt.user) : nullptr;
  if (in_file) return in_file->matches(attempt.secret) && may;
  const std::size_t of_file = attempt.users ? attempt.users->size() : 0;
  const std::size_t of_local = local_ ? local_->count() : 0;
  const bool as_local = !attempt.users || (of_local != 0 && attempt.seed % (of_file + of_local) >= of_file);
  const PasswordHash& decoy = as_local ? local_decoy() : attempt.users->decoy(attempt.seed);
  (void)decoy.matches(attempt.secret);
  return false;
}

void Passwords::forget_others(const std::shared_ptr<const Htpasswd>& users) {
  if (of_file_ == users) return;
  of_file_ = users;
  right_.clear();
  wrong_.clear();
}

void Passwords::record(const Attempt& attempt, Timestamp now) {
  if (attempt.charges_address) {
    failures_.record(attempt.account, attempt.address, attempt.key, now, attempt.budget);
  } else {
    failures_.begin(attempt.account, attempt.address, attempt.key, now);
  }
}

Passwords::Outcome Passwords::known(const Attempt& attempt, std::int64_t& retry_after) {
  const Timestamp now = clock_.now();
  const std::lock_guard lock(mutex_);
  forget_others(attempt.users);
  // First, also for what is remembered as right: whoever guesses must not learn from it either.
  if (const auto wait = failures_.account_waits(attempt.account, attempt.address, now)) {
    retry_after = *wait;
    return Outcome::limited;
  }
  // Forgives nothing: a client that sends its password with every request would do so without end for whoever
  // guesses beside it. What it costs: who mistypes ten times in a quarter of an hour waits, though logged in.
  if (right_.contains(attempt.memory, now)) return Outcome::right;
  if (const auto wait = failures_.address_waits(attempt.address, now, attempt.budget)) {
    // What is remembered as right may be guessed at all the same.
    if (attempt.known) {
      failures_.record(attempt.account, attempt.address, attempt.key, now, attempt.budget);
    } else {
      failures_.record_made_up(attempt.account, attempt.address, attempt.key, now);
    }
    retry_after = *wait;
    return Outcome::limited;
  }
  if (wrong_.contains(attempt.memory, now)) {
    record(attempt, now);
    return Outcome::wrong;
  }
  if (waiting_ >= settings_.waiting) return Outcome::busy;
  ++waiting_;
  failures_.begin(attempt.account, attempt.address, attempt.key, now);
  return Outcome::unknown;
}

// On the pool. A name that does not exist costs what others cost, and is remembered like them.
Passwords::Outcome Passwords::hash(const Attempt& attempt) {
  {
    // A client opens several connections at once: one of them has done the work.
    const Timestamp now = clock_.now();
    const std::lock_guard lock(mutex_);
    const bool right = of_file_ == attempt.users && right_.contains(attempt.memory, now);
    if (right || (of_file_ == attempt.users && wrong_.contains(attempt.memory, now))) {
      --waiting_;
      if (right) failures_.forgive(attempt.account, attempt.address);
      return right ? Outcome::right : Outcome::wrong;
    }
    ++statistics_.hashed;
  }
  const bool right = matches(attempt);
  const Timestamp now = clock_.now();
  const std::lock_guard lock(mutex_);
  --waiting_;
  if (right) {
    failures_.forgive(attempt.account, attempt.address);
  } else {
    record(attempt, now);
  }
  // What the file before said is not to be remembered for the one that holds now.
  if (of_file_ == attempt.users) (right ? right_ : wrong_).insert(attempt.memory, now);
  return right ? Outcome::right : Outcome::wrong;
}

Error Passwords::refusal(Outcome outcome, std::int64_t retry_after) {
  if (outcome == Outcome::busy)
    return Error(Errc::unavailable, "too many are logging in at this moment; try again in a few seconds");
  const std::lock_guard lock(mutex_);
  if (outcome == Outcome::limited) {
    ++statistics_.limited;
    return Error(Errc::too_many_requests, "too many wrong passwords came from this address; try again in " +
                                              std::to_string(retry_after) + " seconds")
        .with("retry_after", std::to_string(retry_after));
  }
  ++statistics_.refused;
  return wrong_login();
}

Task<void> Passwords::renew_file() {
  if (!file_ || !file_->is_other()) co_return;
  // What is wrong with it is said by whoever watches over the file; here the users before hold on.
  auto renewing = disk_.start([this] { (void)file_->renew(); });
  co_await renewing;
}

Task<Result<PasswordUser>> Passwords::check(const Credentials& credentials, const std::string& address,
                                            Budget budget) {
  return judge(credentials, address, budget, true);
}

Task<Error> Passwords::refuse(const Credentials& credentials, const std::string& address, Budget budget,
                              bool told) {
  const auto answer = co_await judge(credentials, address, budget, told);
  // Whoever has got the name here in the meantime logs in with the next attempt.
  if (answer) co_return refusal(Outcome::wrong, 0);
  co_return answer.error();
}

Result<void> Passwords::account_may_try(const std::string& user, const std::string& address) {
  std::optional<std::int64_t> wait;
  {
    const std::lock_guard lock(mutex_);
    wait = failures_.account_waits(lower_case(user), address, clock_.now());
  }
  if (wait) return refusal(Outcome::limited, *wait);
  return {};
}

void Passwords::forgive(const std::string& user, const std::string& address) {
  const std::lock_guard lock(mutex_);
  failures_.forgive(lower_case(user), address);
}

Task<Result<PasswordUser>> Passwords::judge(const Credentials& credentials, const std::string& address,
                                            Budget budget, bool charges_address) {
  // An empty password is nobody's, and one that no hash takes need not be counted.
  if (credentials.secret.empty() || credentials.secret.size() > PasswordHash::max_password)
    co_return refusal(Outcome::wrong, 0);
  co_await renew_file();
  auto attempt = attempt_of(credentials, address);
  if (!attempt) co_return attempt.error();
  attempt->budget = budget;
  attempt->charges_address = charges_address;
  std::int64_t retry_after = 0;
  Outcome outcome = known(*attempt, retry_after);
  if (outcome == Outcome::unknown) {
    auto hashing = pool_.start([this, &attempt] { return hash(*attempt); });
    outcome = co_await hashing;
  }
  if (outcome != Outcome::right) co_return refusal(outcome, retry_after);
  if (!attempt->known || attempt->known->disabled) co_return refusal(Outcome::wrong, 0);
  // While it waited for its turn the user may have got another password, or have gone.
  const auto present = co_await find(credentials.user);
  if (!present) co_return present.error();
  const bool stands = *present && !(*present)->disabled && (*present)->name == attempt->known->name &&
                      (*present)->fingerprint == attempt->known->fingerprint;
  if (!stands) co_return refusal(Outcome::wrong, 0);
  co_return std::move(*attempt->known);
}

Task<Result<std::optional<PasswordUser>>> Passwords::find(const std::string& name) {
  co_await renew_file();
  std::optional<PasswordUser> user;
  const auto users = file_ ? file_->users() : nullptr;
  const PasswordHash* const in_file = users ? users->find(name) : nullptr;
  if (in_file) user = user_of(name, *in_file);
  if (user || !local_) co_return user;
  auto found = local_->find(name);
  if (!found) co_return found.error();
  if (*found) user = user_of(std::move(**found));
  co_return user;
}

Task<Result<PasswordHash>> Passwords::make(std::string password) {
  auto hashing = pool_.start([&password] { return PasswordHash::make(password); });
  co_return co_await hashing;
}

Passwords::Statistics Passwords::statistics() const {
  const std::lock_guard lock(mutex_);
  return statistics_;
}

}  // namespace stele::auth
