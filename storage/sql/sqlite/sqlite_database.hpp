#pragma once
// The SQLite driver: WAL, synchronous=FULL, foreign keys, one writer connection that alone checkpoints, and
// one read-only connection per reading thread that holds its snapshot until a commit happens or its thread is
// idle.

#include <functional>
#include <memory>
#include <string>

#include "storage/sql/database.hpp"

namespace stele::sql {

struct SqliteOptions {
  std::string vfs = {};  // empty: SQLite's own; tests name one that injects faults
  // After so many pages of 4 KiB in the log they are copied into the main file. SQLite's default: larger ones
  // cost stalls of 120 ms in the write that waits behind them.
  int checkpoint_pages = 1000;
  // How long the writer waits for readers when the log has to start over; up to ten times that after waiting
  // in vain. Tests that must not depend on who gets to run wait as long as it takes.
  int restart_wait_ms = 5;
  // Called by the writer, from its thread, while it waits for readers: makes threads that keep a snapshot
  // call release_kept_snapshot() soon. Without it they are waited for until they let go by themselves.
  std::function<void()> snapshots_wanted = {};
  // A database that has tables, but not this one, is another program's: it is opened as it is, without
  // switching it to WAL, for whoever looks at its tables to refuse it unchanged. Empty: every database is
  // ours.
  std::string own_table = {};
};

// Opens or creates `path` (mode 0600). The writer is opened before any reader. Runs `PRAGMA quick_check` only
// on what opening reads: a file that is not a database, or whose header pages are damaged, is `corrupt` with
// what to do in the message.
Result<std::unique_ptr<Database>> open_sqlite(const std::string& path, const SqliteOptions& options = {});

// Verifies a copy: opens `path` read-only and runs integrity_check and foreign_key_check; corrupt when they
// find anything.
Result<void> verify_sqlite(const std::string& path);

}  // namespace stele::sql
