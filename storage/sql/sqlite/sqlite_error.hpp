#pragma once
// SQLite's result codes as Failures.

#include <string>
#include <string_view>

#include "storage/sql/session.hpp"

struct sqlite3;

namespace stele::sql {

// What the last call on `db` failed with. `code` is its (extended) result; `doing` begins the message. Set
// errno to 0 before the call: it tells a full disk from a broken one.
Failure sqlite_failure(sqlite3* db, int code, std::string_view doing);

}  // namespace stele::sql
