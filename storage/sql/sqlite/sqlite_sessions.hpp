#pragma once
// The two kinds of session of the SQLite driver: the writer, and the reader that each thread has.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>

#include "storage/sql/database.hpp"
#include "storage/sql/sqlite/sqlite_connection.hpp"
#include "storage/sql/sqlite/sqlite_database.hpp"

namespace stele::sql {

// Counts commits; a reader's snapshot taken at an older count is not used any more.
using CommitCounter = std::atomic<std::uint64_t>;

// Opened before any reader and closed after the last. Alone checkpoints: in SQLite before 3.51.3 a second
// checkpointing connection can lose commits ("WAL-reset bug").
class SqliteWriter final : public WriteConnection {
 public:
  SqliteWriter(const std::string& path, const SqliteOptions& options, CommitCounter& commits);

  void begin() override;
  void commit() override;
  void rollback() noexcept override;
  void savepoint() override { execute("SAVEPOINT closure"); }
  void release_savepoint() override { execute("RELEASE closure"); }
  void rollback_to_savepoint() override;
  bool in_transaction() const override { return connection_.in_transaction(); }
  std::vector<std::string> tables() override;
  void run_script(std::string_view sql) override;
  void maintain() override;
  void checkpoint() noexcept override;

 private:
  Statement& statement(std::string_view sql) override { return connection_.statement(sql); }
  std::int64_t changes(std::string_view) override { return connection_.changes(); }
  void fold_log(int last_mode, int wait_ms);
  int restart_log(int last_mode, int wait_ms);
  int wait_for_readers(int attempt) noexcept;
  Failure checkpoint_failure(int code) noexcept;
  // Looks at what a call failed with; rethrow after it.
  void note(const Failure&) noexcept;

  CommitCounter& commits_;
  const int checkpoint_pages_;
  const std::function<void()> snapshots_wanted_;
  int restart_at_;
  const int shortest_wait_ms_;
  int restart_wait_ms_;
  std::chrono::steady_clock::time_point wait_until_;  // of wait_for_readers
  int log_pages_ = 0;
  int copied_pages_ = 0;  // of the log, when it was last copied into the main file
  bool folded_ = false;
  bool sync_failed_ = false;
  SqliteConnection connection_;
};

// One thread's. Holds a snapshot while it reads; once renew_kept() was called, also between reads, until a
// commit has happened.
class SqliteReader final : public Session {
 public:
  SqliteReader(const std::string& path, const std::string& vfs);
  // The session then sees every commit up to `count`; an inner read what the outer one sees.
  void begin_read(std::uint64_t count);
  void end_read() noexcept;
  void renew_kept() noexcept;
  void release_kept() noexcept;

 private:
  Statement& statement(std::string_view sql) override { return connection_.statement(sql); }
  std::int64_t changes(std::string_view) override { return connection_.changes(); }

  void release() noexcept;

  SqliteConnection connection_;
  std::uint64_t seen_ = 0;
  unsigned depth_ = 0;  // of reads in reads
  bool kept_ = false;
};

// One reader per thread that reads, opened at its first read and closed when the thread ends. Thread-safe.
class ReaderPool : public std::enable_shared_from_this<ReaderPool> {
 public:
  ReaderPool(std::string path, std::string vfs);
  SqliteReader& of_this_thread();
  // Null when the thread has not read yet.
  SqliteReader* existing();
  void thread_ended();

 private:
  const std::string path_;
  const std::string vfs_;
  const std::uint64_t id_;  // never used twice, unlike an address
  std::mutex mutex_;
  std::unordered_map<std::thread::id, std::unique_ptr<SqliteReader>> readers_;
};

}  // namespace stele::sql
