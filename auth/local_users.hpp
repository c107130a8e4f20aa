#pragma once
// Local users: people whom this registry itself knows, in its catalog, with a password and groups. Rules know
// one as user:NAME, and his groups as group:NAME. What is changed here holds with the next request, whatever
// a token says.

#include <atomic>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "audit/event_log.hpp"
#include "auth/password_hash.hpp"
#include "auth/user_name.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "storage/catalog/users.hpp"

namespace stele::auth {

struct LocalUser {
  catalog::UserRow row;
  std::vector<std::string> groups;

  bool disabled() const { return row.disabled_at.has_value(); }
  // Another one: another user, or tokens that were made before are over.
  std::string fingerprint() const;
};

struct NewUser {
  UserName name;
  std::vector<GroupName> groups;
  audit::Actor actor;
};

// Thread-safe.
class LocalUsers {
 public:
  static constexpr std::size_t most_groups = 100;  // of one user

  // All of it outlives this; `clock` tells the time of day.
  LocalUsers(sql::Database& database, sql::Writer& writer, const Clock& clock);

  // --- logging in; a read of one row and of its groups

  // `name` as it was typed, or of a token.
  Result<std::optional<LocalUser>> find(std::string_view name) const;

  // False: there was never one since this began, so that no name needs to be looked up.
  bool had_any() const { return had_any_.load(std::memory_order_relaxed); }
  // About how many there are; for what names that nobody has are made to cost.
  std::size_t count() const { return count_.load(std::memory_order_relaxed); }

  // --- administration. The password was hashed by the caller, which takes its time.

  // parameter_invalid: the name is taken, or there are too many groups.
  Task<Result<LocalUser>> create(NewUser, PasswordHash);
  // In the order of names after `after`, at most `limit`.
  Result<std::vector<LocalUser>> list(const std::string& after, std::int64_t limit) const;
  // These end what was made from the password before: refresh tokens, and tokens made from those. not_found.
  Task<Result<LocalUser>> set_password(UserName, PasswordHash, audit::Actor);
  Task<Result<LocalUser>> disable(UserName, std::string reason, audit::Actor);
  // He logs in again: with the password that he had, and no token from before. not_found.
  Task<Result<LocalUser>> enable(UserName, std::string reason, audit::Actor);
  // not_found; parameter_invalid: too many.
  Task<Result<LocalUser>> change_groups(UserName, std::vector<GroupName> add, std::vector<GroupName> remove,
                                        audit::Actor);
  Task<Result<void>> remove(UserName, std::string reason, audit::Actor);

 private:
  sql::Database& database_;
  sql::Writer& writer_;
  const Clock& clock_;
  std::atomic<std::size_t> count_ = 0;  // at least so many were there; a weight, and nothing is decided by it
  std::atomic<bool> had_any_ = false;   // once true it stays so: then each name is looked up
};

}  // namespace stele::auth
