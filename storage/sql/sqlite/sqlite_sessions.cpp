#include "storage/sql/sqlite/sqlite_sessions.hpp"

#include <sqlite3.h>

#include <cerrno>
#include <utility>

#include "storage/sql/sqlite/sqlite_error.hpp"

namespace stele::sql {
namespace {

constexpr int busy_wait_ms = 5000;
// Readers that always hold some snapshot keep the log from starting over: at this multiple of the usual
// length they are asked to let go. Whoever pushes waits meanwhile, hence not for long at first.
constexpr int restart_factor = 8;
constexpr int longest_wait_factor = 10;
constexpr auto restart_poll = std::chrono::microseconds(200);

// Page caches, allocated as pages are used. A reader's is small: what it misses is in the kernel's cache.
// A log that starts over keeps its length up to the limit, which is beyond what it has under load: it is
// written in place then, and a sync has no new blocks to record.
constexpr const char* writer_settings =
    "PRAGMA foreign_keys=ON; PRAGMA synchronous=FULL; PRAGMA cache_size=-8192; PRAGMA cell_size_check=ON; "
    "PRAGMA journal_size_limit=67108864;";
constexpr const char* reader_settings =
    "PRAGMA query_only=ON; PRAGMA cache_size=-2048; PRAGMA wal_autocheckpoint=0; PRAGMA cell_size_check=ON;";

constexpr std::pair<std::string_view, std::string_view> types[] = {
    {"@id@", "INTEGER PRIMARY KEY"},
    {"@sequence@", "INTEGER PRIMARY KEY AUTOINCREMENT"},
    {"@integer@", "INTEGER"},
    {"@text@", "TEXT"},
    {"@name@", "TEXT"},  // SQLite's default collation compares bytes
    {"@bytes@", "BLOB"},
    {"@strict@", "STRICT"},
    {"@clustered@", "STRICT, WITHOUT ROWID"},
};

}  // namespace

// --- the writer

SqliteWriter::SqliteWriter(const std::string& path, const SqliteOptions& options, CommitCounter& commits)
    : commits_(commits),
      checkpoint_pages_(options.checkpoint_pages),
      snapshots_wanted_(options.snapshots_wanted),
      restart_at_(restart_factor * options.checkpoint_pages),
      shortest_wait_ms_(options.restart_wait_ms),
      restart_wait_ms_(options.restart_wait_ms),
      connection_(path, SQLITE_OPEN_READWRITE, options.vfs) {
  if (!options.own_table.empty() && connection_.value_of("PRAGMA journal_mode") != "wal") {
    const auto names = tables();
    if (!names.empty() && std::find(names.begin(), names.end(), options.own_table) == names.end()) return;
  }
  connection_.run(writer_settings);
  if (connection_.value_of("PRAGMA journal_mode=WAL") != "wal") {
    throw Failure(Failure::Kind::io,
                  "the file system of " + path + " cannot hold a write-ahead log (shared memory maps)");
  }
  // Instead of SQLite's automatic checkpoint, which runs inside the commit and swallows its errors, a failed
  // sync among them.
  sqlite3_wal_hook(
      connection_.handle(),
      [](void* self, sqlite3*, const char*, int pages) {
        static_cast<SqliteWriter*>(self)->log_pages_ = pages;
        return SQLITE_OK;
      },
      this);
  try {
    fold_log(SQLITE_CHECKPOINT_TRUNCATE, busy_wait_ms);
  } catch (const Failure& failure) {
    // A full disk must not keep reads from being served: begin() tries again.
    if (failure.kind() != Failure::Kind::full) throw;
  }
}

// What recovery found in the log may be in the kernel's cache only: a crash after a failed sync. Before
// anything is written behind it, it goes to the main file, durably, and the log starts anew.
void SqliteWriter::fold_log(int last_mode, int wait_ms) {
  const int code = restart_log(last_mode, wait_ms);
  if (code != SQLITE_OK) throw checkpoint_failure(code);
  folded_ = true;
}

void SqliteWriter::begin() {
  // By now there are readers, which keep the log from starting over but not from being copied and synced.
  if (!folded_) fold_log(SQLITE_CHECKPOINT_FULL, longest_wait_factor * shortest_wait_ms_);
  execute("BEGIN IMMEDIATE");
}

void SqliteWriter::commit() {
  try {
    execute("COMMIT");
  } catch (const Failure& failure) {
    note(failure);
    rollback();
    throw;
  }
}

void SqliteWriter::rollback() noexcept {
  if (!connection_.in_transaction()) return;
  try {
    execute("ROLLBACK");
  } catch (...) {
    // SQLite has ended the transaction even when it could not tidy up behind it.
  }
}

void SqliteWriter::rollback_to_savepoint() {
  execute("ROLLBACK TO closure");
  execute("RELEASE closure");
}

std::vector<std::string> SqliteWriter::tables() {
  std::vector<std::string> names;
  auto rows =
      query("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'");
  while (rows.next()) names.emplace_back(rows.text(0));
  return names;
}

void SqliteWriter::run_script(std::string_view sql) {
  std::string text(sql);
  for (const auto& [macro, type] : types) {
    for (std::size_t at = text.find(macro); at != std::string::npos;
         at = text.find(macro, at + type.size())) {
      text.replace(at, macro.size(), type);
    }
  }
  connection_.run(text);
}

void SqliteWriter::maintain() {
  if (log_pages_ < copied_pages_) copied_pages_ = 0;  // it has started over
  // Not after each commit: most of them change the same few pages again.
  if (log_pages_ - copied_pages_ < checkpoint_pages_ || sync_failed_) return;
  errno = 0;
  const int code =
      sqlite3_wal_checkpoint_v2(connection_.handle(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  if (code != SQLITE_OK) throw checkpoint_failure(code);
  copied_pages_ = log_pages_;
  if (log_pages_ < restart_at_) return;
  const int restarted = restart_log(SQLITE_CHECKPOINT_RESTART, restart_wait_ms_);
  restart_wait_ms_ = restarted == SQLITE_OK
                         ? shortest_wait_ms_
                         : std::min(2 * restart_wait_ms_, longest_wait_factor * shortest_wait_ms_);
  // A long reader, such as a backup, is not waited for again at each commit.
  restart_at_ = (restarted == SQLITE_OK ? 0 : log_pages_) + restart_factor * checkpoint_pages_;
  if (restarted != SQLITE_OK && (restarted & 0xff) != SQLITE_BUSY) throw checkpoint_failure(restarted);
}

// The log starts over only when no reader is in it, and under constant reading there always is one. A new
// count makes the busy ones take a new snapshot, those who keep one are asked to let go, and this waits a
// moment for both: first until all are at the log's end, so that all of it is copied; then until all have
// left it for the main file. It waits for a reader's lock, not for its snapshot to be new: whoever takes the
// next one at once and keeps that, too, is waited for in vain, which is why they are to keep none for a
// while.
int SqliteWriter::restart_log(int last_mode, int wait_ms) {
  int code = SQLITE_OK;
  wait_until_ = std::chrono::steady_clock::now() + std::chrono::milliseconds(wait_ms);
  sqlite3_busy_handler(
      connection_.handle(),
      [](void* self, int attempt) { return static_cast<SqliteWriter*>(self)->wait_for_readers(attempt); },
      this);
  for (const int mode : {SQLITE_CHECKPOINT_FULL, last_mode}) {
    commits_.fetch_add(1, std::memory_order_acq_rel);
    errno = 0;
    code = sqlite3_wal_checkpoint_v2(connection_.handle(), nullptr, mode, nullptr, nullptr);
    if (code != SQLITE_OK) break;
  }
  sqlite3_busy_timeout(connection_.handle(), busy_wait_ms);
  return code;
}

// SQLite's busy handler: 0 gives up.
int SqliteWriter::wait_for_readers(int attempt) noexcept {
  if (std::chrono::steady_clock::now() >= wait_until_) return 0;
  if (attempt % 4 == 0 && snapshots_wanted_) snapshots_wanted_();
  std::this_thread::sleep_for(restart_poll);
  return 1;
}

Failure SqliteWriter::checkpoint_failure(int code) noexcept {
  Failure failure = sqlite_failure(connection_.handle(), code, "copying the log into " + connection_.path());
  note(failure);
  return failure;
}

void SqliteWriter::checkpoint() noexcept {
  if (sync_failed_ || connection_.in_transaction()) return;
  // Without waiting: PASSIVE copies what it may, TRUNCATE then succeeds only when no reader is in the log.
  sqlite3_busy_timeout(connection_.handle(), 0);
  for (const int mode : {SQLITE_CHECKPOINT_PASSIVE, SQLITE_CHECKPOINT_TRUNCATE}) {
    errno = 0;
    const int code = sqlite3_wal_checkpoint_v2(connection_.handle(), nullptr, mode, nullptr, nullptr);
    if (code == SQLITE_OK) continue;
    (void)checkpoint_failure(code);
    break;
  }
  sqlite3_busy_timeout(connection_.handle(), busy_wait_ms);
}

void SqliteWriter::note(const Failure& failure) noexcept {
  if (failure.kind() != Failure::Kind::sync) return;
  // From now on the files stay as they are: the next start recovers from them, frame checksums and all.
  sync_failed_ = true;
  connection_.leave_log_on_close();
}

// --- readers

SqliteReader::SqliteReader(const std::string& path, const std::string& vfs)
    : connection_(path, SQLITE_OPEN_READONLY, vfs) {
  connection_.run(reader_settings);
  connection_.leave_log_on_close();
}

void SqliteReader::begin_read(std::uint64_t count) {
  if (depth_ == 0 && !(connection_.in_transaction() && seen_ == count)) {
    if (connection_.in_transaction()) execute("COMMIT");
    execute("BEGIN");
    seen_ = count;
  }
  ++depth_;
}

void SqliteReader::end_read() noexcept {
  if (--depth_ == 0 && !kept_) release();
}

void SqliteReader::renew_kept() noexcept {
  kept_ = true;
  if (depth_ == 0) release();
}

void SqliteReader::release_kept() noexcept {
  kept_ = false;
  if (depth_ == 0) release();
}

void SqliteReader::release() noexcept {
  if (!connection_.in_transaction()) return;
  try {
    execute("COMMIT");
  } catch (...) {
    // Nothing was written; the next begin_read() meets the same error and reports it.
  }
}

namespace {

std::uint64_t next_pool_id() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

// A thread's readers, one per database; nearly always one.
struct ThreadReaders {
  struct Slot {
    std::uint64_t pool_id;
    SqliteReader* reader;
    std::weak_ptr<ReaderPool> pool;
  };
  std::vector<Slot> slots;

  SqliteReader* find(std::uint64_t pool_id) const {
    for (const Slot& slot : slots) {
      if (slot.pool_id == pool_id) return slot.reader;
    }
    return nullptr;
  }
  ~ThreadReaders() {
    for (const Slot& slot : slots) {
      if (const auto pool = slot.pool.lock()) pool->thread_ended();
    }
  }
};

thread_local ThreadReaders thread_readers;

}  // namespace

ReaderPool::ReaderPool(std::string path, std::string vfs)
    : path_(std::move(path)), vfs_(std::move(vfs)), id_(next_pool_id()) {}

SqliteReader* ReaderPool::existing() {
  return thread_readers.find(id_);
}

SqliteReader& ReaderPool::of_this_thread() {
  if (SqliteReader* reader = existing()) return *reader;
  auto opened = std::make_unique<SqliteReader>(path_, vfs_);
  SqliteReader& reader = *opened;
  std::erase_if(thread_readers.slots, [](const auto& slot) { return slot.pool.expired(); });
  thread_readers.slots.push_back({id_, &reader, weak_from_this()});
  const std::lock_guard lock(mutex_);
  readers_[std::this_thread::get_id()] = std::move(opened);
  return reader;
}

void ReaderPool::thread_ended() {
  const std::lock_guard lock(mutex_);
  readers_.erase(std::this_thread::get_id());
}

}  // namespace stele::sql
