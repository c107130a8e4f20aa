#pragma once
// Snapshots of the catalog beside the data: `backups/stele-<UTC time>.db`, the newest `keep` of them.

#include <optional>
#include <stop_token>
#include <string>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "storage/sql/database.hpp"

namespace stele {

// Not thread-safe; belongs to the job "snapshot", but for what says otherwise.
class Backups {
 public:
  // Creates the directory (mode 0700) and takes away what an interrupted copy left.
  static Result<Backups> open(std::string directory, sql::Database& database, const Clock& clock);

  // Makes a snapshot when the newest is older than `every_seconds` (0: never), then removes the oldest beyond
  // `keep`. The new file's name, if one was made. One dated in the future, by a clock that was ahead, counts
  // as none and goes first. Given up soon after a stop was requested.
  Result<std::optional<std::string>> make_if_due(std::int64_t every_seconds, std::uint64_t keep,
                                                 const std::stop_token& stop = {});

  // Since the newest snapshot, those of the future left out; empty: there is none. Thread-safe.
  std::optional<double> newest_age_seconds() const;

  // A copy under a name that the next open() takes away; the caller removes it when done. Thread-safe.
  Result<std::string> copy_for_download() const;

 private:
  Backups(std::string directory, sql::Database& database, const Clock& clock)
      : directory_(std::move(directory)), database_(&database), clock_(&clock) {}
  std::string directory_;
  sql::Database* database_;
  const Clock* clock_;
  std::int64_t not_before_ = 0;  // after a failure, microseconds: not tried again every second
};

}  // namespace stele
