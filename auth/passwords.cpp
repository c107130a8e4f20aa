#include "auth/passwords.hpp"

#include <openssl/evp.h>

#include <cstring>
#include <utility>

namespace stele::auth {
namespace {

// Whoever pushes and pulls goes before whoever logs in.
constexpr int hashing_niceness = 5;

}  // namespace

Passwords::Passwords(PasswordSettings settings, const Clock& clock, ThreadPool& disk)
    : settings_(std::move(settings)),
      clock_(clock),
      disk_(disk),
      file_(settings_.file),
      right_(settings_.remembered, settings_.right_seconds),
      wrong_(settings_.remembered, settings_.wrong_seconds),
      failures_(settings_.failures),
      pool_("stele-passwords", settings_.threads, hashing_niceness) {}

Passwords::Attempt Passwords::attempt_of(const Credentials& credentials, const std::string& address) const {
  Attempt attempt;
  attempt.user = credentials.user;
  attempt.secret = credentials.secret;
  attempt.address = address;
  attempt.key = keyed_.of(credentials.user, credentials.secret);  // no name has a NUL
  const std::string of_name = keyed_.of("decoy", credentials.user);
  std::memcpy(&attempt.seed, of_name.data(), sizeof attempt.seed);
  attempt.users = file_.users();
  return attempt;
}

void Passwords::forget_others(const std::shared_ptr<const Htpasswd>& users) {
  if (of_file_ == users) return;
  of_file_ = users;
  right_.clear();
  wrong_.clear();
}

Passwords::Outcome Passwords::known(const Attempt& attempt, std::int64_t& retry_after) {
  const Timestamp now = clock_.now();
  const std::lock_guard lock(mutex_);
  forget_others(attempt.users);
  // First, also for what is remembered as right: whoever guesses must not learn from it either.
  if (const auto wait = failures_.account_waits(attempt.user, attempt.address, now)) {
    retry_after = *wait;
    return Outcome::limited;
  }
  if (right_.contains(attempt.key, now)) return Outcome::right;
  if (const auto wait = failures_.address_waits(attempt.address, now)) {
    failures_.record(attempt.user, attempt.address, attempt.key, now);
    retry_after = *wait;
    return Outcome::limited;
  }
  if (wrong_.contains(attempt.key, now)) {
    failures_.record(attempt.user, attempt.address, attempt.key, now);
    return Outcome::wrong;
  }
  if (waiting_ >= settings_.waiting) return Outcome::busy;
  ++waiting_;
  return Outcome::unknown;
}

// On the pool. A name that does not exist costs what others cost, and is remembered like them.
Passwords::Outcome Passwords::hash(const Attempt& attempt) {
  {
    // A client opens several connections at once: one of them has done the work.
    const std::lock_guard lock(mutex_);
    if (of_file_ == attempt.users && right_.contains(attempt.key, clock_.now())) {
      --waiting_;
      return Outcome::right;
    }
    ++statistics_.hashed;
  }
  const PasswordHash* const found = attempt.users->find(attempt.user);
  const PasswordHash& used = found ? *found : attempt.users->decoy(attempt.seed);
  const bool same = used.matches(attempt.secret);
  const bool right = same && found != nullptr;
  const Timestamp now = clock_.now();
  const std::lock_guard lock(mutex_);
  --waiting_;
  if (right) {
    failures_.forgive(attempt.user, attempt.address);
  } else {
    failures_.record(attempt.user, attempt.address, attempt.key, now);
  }
  // What the file before said is not to be remembered for the one that holds now.
  if (of_file_ == attempt.users) (right ? right_ : wrong_).insert(attempt.key, now);
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
  return Error(Errc::unauthorized, "the user name or the password is wrong");
}

Task<void> Passwords::renew_file() {
  if (!file_.is_other()) co_return;
  // What is wrong with it is said by whoever watches over the file; here the users before hold on.
  auto renewing = disk_.start([this] { (void)file_.renew(); });
  co_await renewing;
}

Task<Result<void>> Passwords::check(const Credentials& credentials, const std::string& address) {
  // An empty password is nobody's, and one that no hash takes need not be counted.
  if (credentials.secret.empty() || credentials.secret.size() > PasswordHash::max_password)
    co_return refusal(Outcome::wrong, 0);
  co_await renew_file();
  const Attempt attempt = attempt_of(credentials, address);
  std::int64_t retry_after = 0;
  Outcome outcome = known(attempt, retry_after);
  if (outcome == Outcome::unknown) {
    auto hashing = pool_.start([this, &attempt] { return hash(attempt); });
    outcome = co_await hashing;
  }
  if (outcome != Outcome::right) co_return refusal(outcome, retry_after);
  co_return Result<void>();
}

Task<std::string> Passwords::fingerprint(const std::string& user) {
  co_await renew_file();
  const auto users = file_.users();
  const PasswordHash* const found = users->find(user);
  if (!found) co_return std::string();
  std::string digest(EVP_MAX_MD_SIZE, '\0');
  unsigned length = 0;
  EVP_Digest(found->text().data(), found->text().size(), reinterpret_cast<unsigned char*>(digest.data()),
             &length, EVP_sha256(), nullptr);
  digest.resize(16);
  co_return digest;
}

Passwords::Statistics Passwords::statistics() const {
  const std::lock_guard lock(mutex_);
  return statistics_;
}

}  // namespace stele::auth
