#pragma once
// Single values that the catalog remembers under a name of their own. Conventions: catalog.hpp.

#include <optional>
#include <string>
#include <string_view>

#include "storage/catalog/catalog.hpp"

namespace stele::catalog {

std::optional<std::string> find_meta(Session&, std::string_view key);
void put_meta(Tx&, std::string_view key, std::string_view value);  // replaces
void delete_meta(Tx&, std::string_view key);

// The number of the newest event; 0: there is none.
std::int64_t newest_event(Session&);

}  // namespace stele::catalog
