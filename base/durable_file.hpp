#pragma once
// Names and small files that survive a power cut.

#include <string>
#include <string_view>

#include "base/result.hpp"

namespace stele {

// Makes the name `path` durable, as it is in its directory now: after a rename, a creation or a removal.
// io or no_space when the directory cannot be opened or synced.
Result<void> sync_directory_of(const std::string& path);

// Afterwards the file at `path` is `text`, readable by its owner alone, or it is what it was: `text` is
// written beside it, under `path`.new. One caller at a time for each path. io or no_space; when it is the
// directory that could not be synced, the file is new already.
Result<void> replace_file(const std::string& path, std::string_view text);

}  // namespace stele
