#pragma once
// The catalog's queries about robots and about the tokens by which somebody is known without a password: the
// secrets of robots, and refresh tokens. Conventions: catalog.hpp. No secret is stored, only its hash.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/catalog/catalog.hpp"

namespace stele::catalog {

// --- robots

struct RobotRow {
  std::string name;
  std::string description;
  std::string scopes;  // what it is limited to, one per line
  std::optional<Timestamp> expires_at;
  Timestamp created_at;
  std::string created_by;
};
std::optional<RobotRow> find_robot(Session&, std::string_view name);
// In bytewise order after `after`, at most `limit`.
std::vector<RobotRow> list_robots(Session&, std::string_view after, std::int64_t limit);
void insert_robot(Tx&, const RobotRow&);
void set_robot_expiry(Tx&, std::string_view name, std::optional<Timestamp>);
void delete_robot(Tx&, std::string_view name);
// When the next one expires that has not yet.
std::optional<Timestamp> next_robot_expiry(Session&, Timestamp now);

// --- tokens

struct LoginToken {
  std::int64_t id = 0;
  std::string kind;     // "api", "refresh"
  std::string subject;  // the principal
  Timestamp created_at;
  // None: when its robot does, or never. A robot's secret that was replaced has one.
  std::optional<Timestamp> expires_at;
  std::optional<Timestamp> last_used_at;
  // Of an api token that a user made for himself; empty: of any other.
  std::string name = {};
  std::string scopes = {};       // what it is limited to, one per line
  std::string fingerprint = {};  // of the user as he was then, as a digest
};
std::optional<LoginToken> find_login_token(Session&, std::int64_t id);
std::optional<LoginToken> find_api_token(Session&, std::string_view hash);
std::optional<LoginToken> find_named_token(Session&, std::string_view subject, std::string_view name);
// Those that a user made, by name, at most `limit`.
std::vector<LoginToken> list_named_tokens(Session&, std::string_view subject, std::int64_t limit);
// By id after `after`, at most `limit`; those of one subject, or of all.
std::vector<LoginToken> list_login_tokens(Session&, std::int64_t after, std::int64_t limit);
std::vector<LoginToken> list_login_tokens(Session&, std::string_view subject, std::int64_t after,
                                          std::int64_t limit);
// Its id. `hash` empty: it has none. `token.id` does not matter.
std::int64_t insert_login_token(Tx&, const LoginToken& token, std::string_view hash);
void note_login(Tx&, std::int64_t id, Timestamp used_at);
void delete_login_token(Tx&, std::int64_t id);
// One of a subject's tokens gets this end; the others go.
void end_login_tokens(Tx&, std::string_view subject, std::int64_t id, Timestamp);
void delete_login_tokens(Tx&, std::string_view subject);
// Leaves the newest `most` refresh tokens of a subject.
void trim_refresh_tokens(Tx&, std::string_view subject, std::int64_t most);
// Those of kind "api" are kept for `api_seconds` more, so that who shows one can be told what it was.
bool any_expired_login_token(Session&, Timestamp now, std::int64_t api_seconds);
// Removes at most `limit` of those whose time is over; how many.
std::int64_t expire_login_tokens(Tx&, Timestamp now, std::int64_t api_seconds, std::int64_t limit);

}  // namespace stele::catalog
