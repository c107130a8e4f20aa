#pragma once
// When each manifest was pulled last, for lifecycle rules (docs/policy.md). Recording costs a pull nothing: a
// store into a table in memory, or only a look at it; the catalog learns of it later, in batches.
//
//   record() on I/O threads  →  table in the mapped file `pulls`  →  flush()  →  manifest_use
//
// kill -9 loses nothing: the file's pages are the kernel's. Whatever may have lost a pull (a power cut, a
// file that is missing, damaged or another catalog's, a table without room) begins the record anew: since()
// says since when it is complete, and a rule that would need to know more keeps. So a loss only ever makes
// more be kept.

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/clock.hpp"
#include "base/task.hpp"
#include "registry/pull_file.hpp"
#include "registry/pull_table.hpp"
#include "registry/push_times.hpp"
#include "storage/sql/writer.hpp"

namespace stele {

struct PullStatistics {
  std::size_t dirty = 0;   // records that the catalog does not have yet
  std::uint64_t lost = 0;  // since the start: pulls for which there was no room
};

// Thread-safe. The destructor writes nothing: it leaves what a crash would leave.
class PullTimes {
 public:
  static constexpr std::size_t default_words = std::size_t{1} << 20;  // 8 MiB
  static constexpr std::size_t default_flush = 2000;
  // A reader's snapshot of the catalog may be this old and still misses nothing in pulled_at() and visit().
  static constexpr std::int64_t longest_snapshot_seconds = 60 * 60;

  // The database, the writer and the clock outlive this. Nothing is written to the catalog before the first
  // flush(), which a server calls before it answers anybody. An error is the catalog's alone: without a file
  // that can be used, pulls are recorded in memory.
  static Result<std::unique_ptr<PullTimes>> open(const PullFile::Place& place, sql::Database& database,
                                                 sql::Writer& writer, const Clock& clock);

  // For each GET and HEAD of a manifest that counts. Lock-free; no system call, no allocation. The time is
  // kept to ten minutes, rounded up.
  void record(catalog::ManifestId manifest, Timestamp now) noexcept {
    if (!table_.record(manifest, now)) lose();
  }

  // What is a push for lifecycle although nothing was written: flush() and close() write it.
  PushTimes& pushes() noexcept { return pushes_; }
  const PushTimes& pushes() const noexcept { return pushes_; }

  // Since when every pull was recorded; absent: at present nothing is known.
  std::optional<Timestamp> since() const noexcept;

  // Absent: not since since(). A time may lie up to ten minutes ahead.
  std::optional<Timestamp> pulled_at(sql::Session&, catalog::ManifestId) const;
  // Every manifest of the repository that was pulled, in no order that means anything.
  void visit(sql::Session&, catalog::RepositoryId,
             const std::function<void(catalog::ManifestId, Timestamp)>& visitor) const;

  struct Flush {
    std::size_t written = 0;
    bool more = false;       // there may be: call again
    std::uint64_t lost = 0;  // pulls since the last flush: the record is complete since now only
  };
  // Writes at most `limit` records to the catalog, and as many pushes, each in one transaction, and waits for
  // it. An error leaves them for the next time.
  Result<Flush> flush(std::size_t limit = default_flush);

  // When nobody pulls any more: flushes all, and marks the file as complete, so that it can be relied on
  // after a power cut too.
  Result<void> close();

  PullStatistics statistics() const;

  // What was wrong with the file, for the log, with what it means; empty: nothing.
  std::string remark() const;

 private:
  PullTimes(PullFile file, std::size_t words, std::optional<Timestamp> since, sql::Writer& writer,
            const Clock& clock);
  void lose() noexcept;
  void nothing_is_dirty(Timestamp now);
  Result<bool> flush_pushes(std::size_t limit);  // true: there may be more
  Task<Result<void>> write_pushes(const std::vector<PushTimes::Push>&);
  Task<Result<void>> write(const std::vector<PullTable::Dirty>& dirty, catalog::PullRecord record,
                           std::optional<Timestamp> since);

  PullFile file_;
  PullTable table_;
  PushTimes pushes_;
  sql::Writer& writer_;
  const Clock& clock_;
  std::atomic<std::int64_t> since_microseconds_;
  std::atomic<std::uint64_t> lost_{0};
  std::mutex flushing_;
  std::uint64_t lost_told_ = 0;
  std::optional<Timestamp> drained_at_;
};

}  // namespace stele
