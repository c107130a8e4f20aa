#include "storage/catalog/logins.hpp"

#include "storage/catalog/rows.hpp"

namespace stele::catalog {
namespace {

std::optional<Timestamp> time_column(const sql::Query& row, int column) {
  if (row.is_null(column)) return std::nullopt;
  return Timestamp{row.integer(column)};
}

std::optional<std::int64_t> number_of(std::optional<Timestamp> time) {
  if (!time) return std::nullopt;
  return time->microseconds;
}

// Columns: name, description, scopes, expires_at, created_at, created_by.
RobotRow robot_row(const sql::Query& row) {
  return RobotRow{std::string(row.text(0)), std::string(row.text(1)),  std::string(row.text(2)),
                  time_column(row, 3),      Timestamp{row.integer(4)}, std::string(row.text(5))};
}

std::string text_column(const sql::Query& row, int column) {
  return row.is_null(column) ? std::string() : std::string(row.text(column));
}

std::optional<std::string_view> text_or_null(std::string_view text) {
  return text.empty() ? std::optional<std::string_view>() : text;
}

// Columns: id, kind, subject, created_at, expires_at, last_used_at, name, scopes, fingerprint.
LoginToken token_row(const sql::Query& row) {
  LoginToken token;
  token.id = row.integer(0);
  token.kind = row.text(1);
  token.subject = row.text(2);
  token.created_at = Timestamp{row.integer(3)};
  token.expires_at = time_column(row, 4);
  token.last_used_at = time_column(row, 5);
  token.name = text_column(row, 6);
  token.scopes = text_column(row, 7);
  token.fingerprint = text_column(row, 8);
  return token;
}

std::optional<LoginToken> one_token(sql::Query row) {
  if (!row.next()) return std::nullopt;
  return token_row(row);
}

std::vector<LoginToken> all_tokens(sql::Query rows) {
  std::vector<LoginToken> tokens;
  while (rows.next()) tokens.push_back(token_row(rows));
  return tokens;
}

}  // namespace

std::optional<RobotRow> find_robot(Session& session, std::string_view name) {
  auto row = session.query(
      "SELECT name, description, scopes, expires_at, created_at, created_by FROM robots WHERE name = $1",
      name);
  if (!row.next()) return std::nullopt;
  return robot_row(row);
}

std::vector<RobotRow> list_robots(Session& session, std::string_view after, std::int64_t limit) {
  std::vector<RobotRow> robots;
  auto rows = session.query(
      "SELECT name, description, scopes, expires_at, created_at, created_by FROM robots WHERE name > $1 "
      "ORDER BY name LIMIT $2",
      after, limit);
  while (rows.next()) robots.push_back(robot_row(rows));
  return robots;
}

void insert_robot(Tx& tx, const RobotRow& robot) {
  tx.execute(
      "INSERT INTO robots (name, description, scopes, expires_at, created_at, created_by) VALUES ($1, $2, "
      "$3, $4, $5, $6)",
      robot.name, robot.description, robot.scopes, number_of(robot.expires_at), robot.created_at.microseconds,
      robot.created_by);
}

void set_robot_expiry(Tx& tx, std::string_view name, std::optional<Timestamp> expires_at) {
  tx.execute("UPDATE robots SET expires_at = $2 WHERE name = $1", name, number_of(expires_at));
}

void delete_robot(Tx& tx, std::string_view name) {
  tx.execute("DELETE FROM robots WHERE name = $1", name);
}

std::optional<Timestamp> next_robot_expiry(Session& session, Timestamp now) {
  auto row = session.query(
      "SELECT expires_at FROM robots WHERE expires_at IS NOT NULL AND expires_at > $1 ORDER BY expires_at "
      "LIMIT 1",
      now.microseconds);
  if (!row.next()) return std::nullopt;
  return Timestamp{row.integer(0)};
}

std::optional<LoginToken> find_login_token(Session& session, std::int64_t id) {
  return one_token(session.query(
      "SELECT id, kind, subject, created_at, expires_at, last_used_at, name, scopes, fingerprint FROM "
      "login_tokens WHERE id = $1",
      id));
}

std::optional<LoginToken> find_api_token(Session& session, std::string_view hash) {
  return one_token(session.query(
      "SELECT id, kind, subject, created_at, expires_at, last_used_at, name, scopes, fingerprint FROM "
      "login_tokens WHERE hash = $1",
      hash));
}

std::optional<LoginToken> find_named_token(Session& session, std::string_view subject,
                                           std::string_view name) {
  return one_token(session.query(
      "SELECT id, kind, subject, created_at, expires_at, last_used_at, name, scopes, fingerprint FROM "
      "login_tokens WHERE subject = $1 AND name = $2",
      subject, name));
}

std::vector<LoginToken> list_named_tokens(Session& session, std::string_view subject, std::int64_t limit) {
  return all_tokens(session.query(
      "SELECT id, kind, subject, created_at, expires_at, last_used_at, name, scopes, fingerprint FROM "
      "login_tokens WHERE subject = $1 AND name IS NOT NULL ORDER BY name LIMIT $2",
      subject, limit));
}

std::vector<LoginToken> list_login_tokens(Session& session, std::int64_t after, std::int64_t limit) {
  return all_tokens(session.query(
      "SELECT id, kind, subject, created_at, expires_at, last_used_at, name, scopes, fingerprint FROM "
      "login_tokens WHERE id > $1 ORDER BY id LIMIT $2",
      after, limit));
}

std::vector<LoginToken> list_login_tokens(Session& session, std::string_view subject, std::int64_t after,
                                          std::int64_t limit) {
  return all_tokens(session.query(
      "SELECT id, kind, subject, created_at, expires_at, last_used_at, name, scopes, fingerprint FROM "
      "login_tokens WHERE subject = $1 AND id > $2 ORDER BY id LIMIT $3",
      subject, after, limit));
}

std::int64_t insert_login_token(Tx& tx, const LoginToken& token, std::string_view hash) {
  auto inserted = tx.query(
      "INSERT INTO login_tokens (kind, subject, hash, created_at, expires_at, last_used_at, name, scopes, "
      "fingerprint) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id",
      token.kind, token.subject, text_or_null(hash), token.created_at.microseconds,
      number_of(token.expires_at), number_of(token.last_used_at), text_or_null(token.name),
      text_or_null(token.scopes), text_or_null(token.fingerprint));
  inserted.next();
  const std::int64_t id = inserted.integer(0);
  inserted.next();  // the statement has ended only when it says so
  return id;
}

void note_login(Tx& tx, std::int64_t id, Timestamp used_at) {
  tx.execute("UPDATE login_tokens SET last_used_at = $2 WHERE id = $1", id, used_at.microseconds);
}

void delete_login_token(Tx& tx, std::int64_t id) {
  tx.execute("DELETE FROM login_tokens WHERE id = $1", id);
}

void end_login_tokens(Tx& tx, std::string_view subject, std::int64_t id, Timestamp end) {
  tx.execute("DELETE FROM login_tokens WHERE subject = $1 AND id <> $2", subject, id);
  tx.execute("UPDATE login_tokens SET expires_at = $2 WHERE id = $1", id, end.microseconds);
}

void delete_login_tokens(Tx& tx, std::string_view subject) {
  tx.execute("DELETE FROM login_tokens WHERE subject = $1", subject);
}

void trim_refresh_tokens(Tx& tx, std::string_view subject, std::int64_t most) {
  tx.execute(
      "DELETE FROM login_tokens WHERE subject = $1 AND kind = 'refresh' AND id <= (SELECT id FROM "
      "login_tokens "
      "WHERE subject = $1 AND kind = 'refresh' ORDER BY id DESC LIMIT 1 OFFSET $2)",
      subject, most);
}

bool any_expired_login_token(Session& session, Timestamp now, std::int64_t api_seconds) {
  return session
      .query(
          "SELECT 1 FROM login_tokens WHERE expires_at IS NOT NULL AND expires_at <= $1 AND (kind = "
          "'refresh' "
          "OR expires_at <= $2) LIMIT 1",
          now.microseconds, now.microseconds - api_seconds * 1'000'000)
      .next();
}

std::int64_t expire_login_tokens(Tx& tx, Timestamp now, std::int64_t api_seconds, std::int64_t limit) {
  std::vector<std::int64_t> over;
  {
    auto rows = tx.query(
        "SELECT id FROM login_tokens WHERE expires_at IS NOT NULL AND expires_at <= $1 AND (kind = 'refresh' "
        "OR expires_at <= $2) ORDER BY expires_at LIMIT $3",
        now.microseconds, now.microseconds - api_seconds * 1'000'000, limit);
    while (rows.next()) over.push_back(rows.integer(0));
  }
  for (const std::int64_t id : over) delete_login_token(tx, id);
  return static_cast<std::int64_t>(over.size());
}

}  // namespace stele::catalog
