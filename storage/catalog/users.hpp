#pragma once
// The catalog's queries about local users and their groups. Conventions: catalog.hpp. No password is stored,
// only its hash.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/catalog/catalog.hpp"

namespace stele::catalog {

struct UserRow {
  std::int64_t id = 0;
  std::string name;
  std::string password;         // its hash
  std::int64_t generation = 1;  // another one: tokens made before are over
  std::optional<Timestamp> disabled_at;
  Timestamp password_changed_at;
  Timestamp created_at;
  std::string created_by;
};
std::optional<UserRow> find_user(Session&, std::string_view name);
// In bytewise order after `after`, at most `limit`.
std::vector<UserRow> list_users(Session&, std::string_view after, std::int64_t limit);
std::int64_t count_users(Session&);
// Its id; `user.id` does not matter.
std::int64_t insert_user(Tx&, const UserRow& user);
void set_user_password(Tx&, std::int64_t id, std::string_view password, Timestamp now);
void set_user_disabled(Tx&, std::int64_t id, std::optional<Timestamp> since);
// Ends the tokens that were made before.
void begin_user_generation(Tx&, std::int64_t id);
// With the user's groups.
void delete_user(Tx&, std::int64_t id);

// In bytewise order.
std::vector<std::string> groups_of_user(Session&, std::int64_t id);
// No error if the user is in it already, or is not.
void add_user_to_group(Tx&, std::int64_t id, std::string_view group);
void remove_user_from_group(Tx&, std::int64_t id, std::string_view group);

}  // namespace stele::catalog
