#include "auth/directory_users.hpp"

#include <utility>

#include "auth/wrong_login.hpp"
#include "base/text.hpp"

namespace stele::auth {
namespace {

constexpr std::size_t longest_secret = 512;

Error busy() {
  return Error(Errc::unavailable, "too many are logging in at this moment; try again in a few seconds");
}

Error limited(std::int64_t seconds) {
  return Error(Errc::too_many_requests, "too many wrong passwords came from this address; try again in " +
                                            std::to_string(seconds) + " seconds")
      .with("retry_after", std::to_string(seconds));
}

}  // namespace

DirectoryUsers::DirectoryUsers(DirectoryUsersSettings settings, const Clock& clock)
    : settings_(std::move(settings)),
      clock_(clock),
      ldap_(settings_.ldap),
      right_(settings_.remembered, settings_.right_seconds),
      wrong_(settings_.remembered, settings_.wrong_seconds),
      failures_(settings_.failures),
      pool_("stele-ldap", settings_.threads) {}

bool DirectoryUsers::begin() {
  const std::lock_guard lock(mutex_);
  if (waiting_ >= settings_.waiting) return false;
  ++waiting_;
  return true;
}

void DirectoryUsers::remember(const LdapUser& user, Timestamp now) {
  if (users_.size() >= settings_.remembered) users_.clear();
  users_.insert_or_assign(user.name, Known{user, now + settings_.groups_seconds * 1'000'000});
}

std::shared_ptr<const LdapUser> DirectoryUsers::known(const std::string& name, Timestamp now) const {
  const auto found = users_.find(name);
  if (found == users_.end() || found->second.until <= now) return nullptr;
  return std::make_shared<const LdapUser>(found->second.user);
}

Task<Result<LdapUser>> DirectoryUsers::check(const Credentials& credentials, const std::string& address,
                                             Budget budget) {
  return judge(credentials, address, budget, false);
}

Task<Error> DirectoryUsers::refuse(const Credentials& credentials, const std::string& address,
                                   Budget budget) {
  const auto answer = co_await judge(credentials, address, budget, true);
  if (answer) co_return wrong_login();
  co_return answer.error();
}

void DirectoryUsers::forgive(const std::string& user, const std::string& address) {
  const std::lock_guard lock(mutex_);
  failures_.forgive(lower_case(user), address);
}

Task<Result<LdapUser>> DirectoryUsers::judge(const Credentials& credentials, const std::string& address,
                                             Budget budget, bool as_nobody) {
  if (credentials.secret.empty() || credentials.secret.size() > longest_secret ||
      credentials.secret.find('\0') != std::string::npos)
    co_return wrong_login();
  // However it is typed, it is one account, and one guess.
  const std::string account = lower_case(credentials.user);
  const std::string key = keyed_.of(account, credentials.secret);
  // No secret that gets here has a NUL. That it was refused unasked says nothing of it.
  const std::string memory = as_nobody ? keyed_.of(account, '\0' + credentials.secret) : key;
  const Attempt attempt{account, key, memory, address, budget, as_nobody};
  auto known = remembered(attempt);
  KeyedMutex::Guard turn;
  if (!known) {
    turn = co_await turns_.lock(attempt.memory);
    known = remembered(attempt);
  }
  if (!known) co_return co_await ask(credentials, attempt);
  if (!*known) co_return known->error();
  co_return co_await find(**known);
}

std::optional<Result<std::string>> DirectoryUsers::remembered(const Attempt& attempt) {
  const Timestamp now = clock_.now();
  const std::lock_guard lock(mutex_);
  if (const auto wait = failures_.account_waits(attempt.account, attempt.address, now)) return limited(*wait);
  if (right_.contains(attempt.memory, now)) {
    const auto name = names_.find(attempt.memory);
    if (name != names_.end()) return name->second;
  }
  if (const auto wait = failures_.address_waits(attempt.address, now, attempt.budget)) {
    // What is remembered as right may be guessed at all the same.
    if (accounts_.contains(attempt.account)) {
      failures_.record(attempt.account, attempt.address, attempt.key, now, attempt.budget);
    } else {
      failures_.record_made_up(attempt.account, attempt.address, attempt.key, now);
    }
    return limited(*wait);
  }
  if (wrong_.contains(attempt.memory, now)) {
    failures_.record(attempt.account, attempt.address, attempt.key, now, attempt.budget);
    return wrong_login();
  }
  return std::nullopt;
}

Task<Result<LdapUser>> DirectoryUsers::ask(const Credentials& credentials, const Attempt& attempt) {
  if (!begin()) co_return busy();
  {
    const std::lock_guard lock(mutex_);
    failures_.begin(attempt.account, attempt.address, attempt.key, clock_.now());
  }
  auto asking = pool_.start([this, &credentials, &attempt]() -> Result<LdapUser> {
    if (attempt.as_nobody) return ldap_.refuse(credentials.user);
    return ldap_.check(credentials.user, credentials.secret);
  });
  auto user = co_await asking;
  const Timestamp now = clock_.now();
  const std::lock_guard lock(mutex_);
  --waiting_;
  if (user) {
    failures_.forgive(attempt.account, attempt.address);
    if (names_.size() >= settings_.remembered) {
      names_.clear();
      accounts_.clear();
    }
    names_.insert_or_assign(attempt.memory, user->name);
    accounts_.insert(attempt.account);
    right_.insert(attempt.memory, now);
    remember(*user, now);
  } else if (user.error().code() == Errc::unauthorized) {
    failures_.record(attempt.account, attempt.address, attempt.key, now, attempt.budget);
    wrong_.insert(attempt.memory, now);
  } else {
    failures_.withdraw(attempt.account, attempt.address, attempt.key);
  }
  co_return user;
}

Task<Result<LdapUser>> DirectoryUsers::find(const std::string& name) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto user = known(name, clock_.now())) co_return *user;
  }
  if (!begin()) co_return busy();
  auto asking = pool_.start([this, &name] { return ldap_.find(name); });
  auto user = co_await asking;
  const std::lock_guard lock(mutex_);
  --waiting_;
  if (user) {
    remember(*user, clock_.now());
  } else if (user.error().code() == Errc::unauthorized) {
    users_.erase(name);
  }
  co_return user;
}

}  // namespace stele::auth
