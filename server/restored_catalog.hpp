#pragma once
// Notices a catalog that is older than its data directory: one that was restored from a snapshot. What it
// does not list may be all that is left of what came after the snapshot, so no blob goes until somebody says
// so.

#include <string>

#include "registry/context.hpp"

namespace stele {

// Thread-safe after look(). Beside the catalog lies a file with the number of the newest event that was seen;
// in a catalog that is the same one, or a newer one, that event is there.
class RestoredCatalog {
 public:
  // `path`: of that file.
  RestoredCatalog(std::string path, const RegistryContext& context)
      : path_(std::move(path)), context_(context) {}

  // At start, before anything removes a blob. On a catalog that turns out to be older the collector is
  // paused, with its record.
  Result<void> look();

  // Whether that was found, now or at an earlier start, and nobody has confirmed it.
  bool found() const;

  // Somebody has seen to it: the sweep goes by its own rules again. The collector is resumed by itself.
  Result<void> confirm();

  // Writes the number of the newest event down. Called now and then; what is not there yet is noticed less.
  Result<void> note() const;

 private:
  std::int64_t noted() const;  // 0: nothing that can be read

  const std::string path_;
  const RegistryContext context_;
};

}  // namespace stele
