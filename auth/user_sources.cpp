// A name and a password, where several sources may have the name: the htpasswd file, local users, a
// directory. The first that has it decides. What is wrong costs a hash and a bind, is counted, and is
// answered alike, whichever source has the name and whether any has: each is asked about what is not its own
// as nobody. What is right is answered at once.
#include <utility>

#include "auth/authenticator.hpp"
#include "auth/wrong_login.hpp"
#include "base/text.hpp"

namespace stele::auth {
namespace {

template <typename User>
Identity password_identity(User user, std::string fingerprint) {
  Identity identity;
  identity.principal = Principal("user:" + user.name);
  identity.method = Identity::Method::password;
  identity.groups = std::move(user.groups);
  identity.fingerprint = std::move(fingerprint);
  return identity;
}

}  // namespace

// However it is typed: the directory knows names without case, and who stands in a source before it is not
// logged in by it; nor does his password go there.
Task<Result<bool>> Authenticator::stands_before_directory(const std::string& user) const {
  const std::string small = lower_case(user);
  auto found = co_await settings_.passwords->find(user);
  if (found && !*found && small != user) found = co_await settings_.passwords->find(small);
  if (!found) co_return found.error();
  co_return found->has_value();
}

Task<Result<Identity>> Authenticator::by_directory(const Credentials& credentials, const std::string& address,
                                                   Budget budget) const {
  auto user = co_await settings_.directory->check(credentials, address, budget);
  if (!user) co_return user.error();
  if (user->name != credentials.user) {
    const auto before = co_await settings_.passwords->find(user->name);
    if (!before) co_return before.error();
    if (*before) co_return wrong_login();
  }
  std::string fingerprint = user->fingerprint();
  co_return password_identity(std::move(*user), std::move(fingerprint));
}

Task<Result<Identity>> Authenticator::by_directory_alone(const Credentials& credentials,
                                                         const std::string& address, Budget budget) const {
  Passwords& others = *settings_.passwords;
  if (others.has_nobody()) co_return co_await by_directory(credentials, address, budget);
  if (auto may = others.account_may_try(credentials.user, address); !may) co_return may.error();
  auto user = co_await by_directory(credentials, address, budget);
  if (user) {
    others.forgive(credentials.user, address);
    co_return user;
  }
  const Errc code = user.error().code();
  if (code != Errc::unauthorized && code != Errc::unavailable) co_return user;
  auto refused = co_await others.refuse(credentials, address, budget, code == Errc::unauthorized);
  if (refused.code() != Errc::unauthorized) co_return refused;
  co_return user;
}

Task<Result<Identity>> Authenticator::by_user(const http::Exchange& http, const Credentials& credentials,
                                              Budget budget) const {
  DirectoryUsers* const directory = settings_.directory;
  if (settings_.passwords->has_nobody() && !directory) co_return wrong_login();
  const std::string address = settings_.client_address ? settings_.client_address(http) : http.peer().address;
  if (directory) {
    const auto before = co_await stands_before_directory(credentials.user);
    if (!before) co_return before.error();
    if (!*before) co_return co_await by_directory_alone(credentials, address, budget);
  }
  auto user = co_await settings_.passwords->check(credentials, address, budget);
  if (user) {
    if (directory) directory->forgive(credentials.user, address);
    std::string fingerprint = std::move(user->fingerprint);
    co_return password_identity(std::move(*user), std::move(fingerprint));
  }
  if (!directory || user.error().code() != Errc::unauthorized) co_return user.error();
  co_return co_await directory->refuse(credentials, address, budget);
}

}  // namespace stele::auth
