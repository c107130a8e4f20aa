#pragma once
// What the catalog's queries share: identities as parameters, and columns as the strong types they were.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/digest.hpp"
#include "storage/catalog/catalog.hpp"

namespace stele::catalog {

inline std::int64_t number(RepositoryId id) {
  return static_cast<std::int64_t>(id);
}
inline std::int64_t number(ManifestId id) {
  return static_cast<std::int64_t>(id);
}

// A stored value that its own grammar refuses was not stored by us.
template <class T>
T parse_column(std::string_view text, const char* column) {
  auto value = T::parse(text);
  if (!value) {
    throw sql::Failure(sql::Failure::Kind::corrupt,
                       std::string("a row has an impossible value in ") + column);
  }
  return std::move(*value);
}

inline std::uint64_t size_column(const sql::Query& row, int column) {
  return static_cast<std::uint64_t>(row.integer(column));
}

// The first column of every row.
std::vector<std::string> text_rows(sql::Query rows);

std::int64_t manifest_checksum(std::string_view digest, std::string_view media_type);
std::int64_t tag_checksum(std::string_view repository, std::string_view tag, std::string_view digest);

// The manifest's row and all that hangs on it; nothing is queued.
void forget_manifest(Tx&, ManifestId);

}  // namespace stele::catalog
