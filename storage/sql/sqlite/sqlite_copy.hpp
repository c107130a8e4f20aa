#pragma once
// A consistent copy of a running database, as one ordinary file.

#include <stop_token>
#include <string>

#include "base/result.hpp"

namespace stele::sql {

// Database::copy_to().
Result<void> copy_sqlite(const std::string& from, const std::string& to, const std::string& vfs,
                         const std::stop_token& stop);

}  // namespace stele::sql
