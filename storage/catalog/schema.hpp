#pragma once
// The catalog's tables and their versions. A migration is one transaction; versions only go up.

#include <string>
#include <string_view>

#include "storage/sql/database.hpp"

namespace stele::catalog {

// The version that this build writes.
inline constexpr std::int64_t schema_version = 11;

// The script that makes this version of the catalog of the version before; 1 makes it of an empty database.
// With the dialect's words (run_script). What was released never changes: a mistake is mended by the next
// version.
std::string_view migration_script(std::int64_t version);

// The table by which a catalog is known.
inline constexpr const char* marker_table = "meta";

// Creates or migrates the tables. Refused, with what to do in the message: a database of a newer version
// (downgrade), one that is not a Stele catalog.
Result<void> migrate(sql::Database&);

}  // namespace stele::catalog
