#include "storage/catalog/users.hpp"

#include "storage/catalog/rows.hpp"

namespace stele::catalog {
namespace {

// Columns: id, name, password, generation, disabled_at, password_changed_at, created_at, created_by.
UserRow user_row(const sql::Query& row) {
  UserRow user;
  user.id = row.integer(0);
  user.name = row.text(1);
  user.password = row.text(2);
  user.generation = row.integer(3);
  if (!row.is_null(4)) user.disabled_at = Timestamp{row.integer(4)};
  user.password_changed_at = Timestamp{row.integer(5)};
  user.created_at = Timestamp{row.integer(6)};
  user.created_by = row.text(7);
  return user;
}

}  // namespace

std::optional<UserRow> find_user(Session& session, std::string_view name) {
  auto row = session.query(
      "SELECT id, name, password, generation, disabled_at, password_changed_at, created_at, created_by "
      "FROM users WHERE name = $1",
      name);
  if (!row.next()) return std::nullopt;
  return user_row(row);
}

std::vector<UserRow> list_users(Session& session, std::string_view after, std::int64_t limit) {
  std::vector<UserRow> users;
  auto rows = session.query(
      "SELECT id, name, password, generation, disabled_at, password_changed_at, created_at, created_by "
      "FROM users WHERE name > $1 ORDER BY name LIMIT $2",
      after, limit);
  while (rows.next()) users.push_back(user_row(rows));
  return users;
}

std::int64_t count_users(Session& session) {
  // Whoever asks makes no difference between so many and more.
  constexpr std::int64_t most = 10'000;
  std::int64_t count = 0;
  auto rows = session.query("SELECT id FROM users WHERE id > 0 ORDER BY id LIMIT $1", most);
  while (rows.next()) ++count;
  return count;
}

std::int64_t insert_user(Tx& tx, const UserRow& user) {
  const auto disabled_at = user.disabled_at ? std::optional<std::int64_t>(user.disabled_at->microseconds)
                                            : std::optional<std::int64_t>();
  auto inserted = tx.query(
      "INSERT INTO users (name, password, generation, disabled_at, password_changed_at, created_at, "
      "created_by) VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id",
      user.name, user.password, user.generation, disabled_at, user.password_changed_at.microseconds,
      user.created_at.microseconds, user.created_by);
  inserted.next();
  const std::int64_t id = inserted.integer(0);
  inserted.next();  // the statement has ended only when it says so
  return id;
}

void set_user_password(Tx& tx, std::int64_t id, std::string_view password, Timestamp now) {
  tx.execute("UPDATE users SET password = $2, password_changed_at = $3 WHERE id = $1", id, password,
             now.microseconds);
}

void set_user_disabled(Tx& tx, std::int64_t id, std::optional<Timestamp> since) {
  const auto at = since ? std::optional<std::int64_t>(since->microseconds) : std::optional<std::int64_t>();
  tx.execute("UPDATE users SET disabled_at = $2 WHERE id = $1", id, at);
}

void begin_user_generation(Tx& tx, std::int64_t id) {
  tx.execute("UPDATE users SET generation = generation + 1 WHERE id = $1", id);
}

void delete_user(Tx& tx, std::int64_t id) {
  tx.execute("DELETE FROM user_groups WHERE user_id = $1", id);
  tx.execute("DELETE FROM users WHERE id = $1", id);
}

std::vector<std::string> groups_of_user(Session& session, std::int64_t id) {
  std::vector<std::string> groups;
  auto rows = session.query("SELECT group_name FROM user_groups WHERE user_id = $1 ORDER BY group_name", id);
  while (rows.next()) groups.emplace_back(rows.text(0));
  return groups;
}

void add_user_to_group(Tx& tx, std::int64_t id, std::string_view group) {
  tx.execute(
      "INSERT INTO user_groups (user_id, group_name) VALUES ($1, $2) ON CONFLICT (user_id, group_name) DO "
      "NOTHING",
      id, group);
}

void remove_user_from_group(Tx& tx, std::int64_t id, std::string_view group) {
  tx.execute("DELETE FROM user_groups WHERE user_id = $1 AND group_name = $2", id, group);
}

}  // namespace stele::catalog
