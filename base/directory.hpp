#pragma once
// Names in directories of the local file system.

#include <string>

#include "base/result.hpp"

namespace stele {

// Makes the name `path` durable, as it is in its directory now: after a rename, a creation or a removal.
// io or no_space when the directory cannot be opened or synced.
Result<void> sync_directory_of(const std::string& path);

}  // namespace stele
