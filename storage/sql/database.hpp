#pragma once
// One catalog database, whatever its engine.

#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <type_traits>
#include <vector>

#include "storage/sql/session.hpp"

namespace stele::sql {

class Tx;

// The one connection that writes. Used by Writer's thread (and by migrations before it starts).
class WriteConnection : public Session {
 public:
  virtual void begin() = 0;
  virtual void
  commit() = 0;  // durable when it returns; throws Failure, after which the transaction is rolled back
  virtual void rollback() noexcept = 0;
  virtual void savepoint() = 0;
  virtual void release_savepoint() = 0;
  virtual void rollback_to_savepoint() = 0;
  // False when the engine has rolled the transaction back by itself (full disk, I/O error).
  virtual bool in_transaction() const = 0;
  // The names of the database's tables, the engine's own left out.
  virtual std::vector<std::string> tables() = 0;
  // DDL of a migration, several statements. `@id@` (a key that the engine assigns), `@sequence@` (the same,
  // strictly increasing and never given twice), `@integer@`, `@text@`, `@name@` (text that sorts bytewise),
  // `@bytes@` stand for the engine's types; `@strict@`, `@clustered@` (stored in the order of its primary
  // key) for what it says after a table.
  virtual void run_script(std::string_view sql) = 0;
  // Housekeeping outside transactions, after waiters have their answer: copies a long log into the main file.
  // What was committed is safe whatever happens here, but a Failure of kind sync closes the latch all the
  // same.
  virtual void maintain() = 0;
  // Copies the log into the main file as far as readers allow; for shutdown and tests.
  virtual void checkpoint() noexcept = 0;

 private:
  friend class Tx;  // hands out this connection's statements
};

// Thread-safe, with one read session per thread that reads.
class Database {
 public:
  virtual ~Database() = default;

  // Calls `f(Session&)`, which returns a Result<T>, on the calling thread's read session; what it sees is one
  // snapshot that is not older than any commit acknowledged before the call. Never waits for a writer. Do not
  // keep the session. A read inside a read sees the outer one's snapshot.
  template <class F>
  auto read(F&& f) -> std::invoke_result_t<F&, Session&> {
    try {
      Session& session = begin_read();
      const End end(*this);
      return f(session);
    } catch (const Failure& failure) {
      return failure.to_error();
    }
  }

  // While anybody has a snapshot the log cannot be checkpointed past it, so it ends with the read. A thread
  // that reads all the time keeps its own from read to read, until the next commit: by calling this about
  // once a second, which lets it go. Called by each I/O thread's tick.
  virtual void renew_kept_snapshot() noexcept = 0;

  // Ends the calling thread's snapshot; it keeps none from read to read until renew_kept_snapshot() is called
  // again.
  virtual void release_kept_snapshot() noexcept = 0;

  // Called by Writer after each commit: snapshots older than it are not used any more.
  virtual void committed() noexcept = 0;

  virtual WriteConnection& writer() = 0;

  // A consistent copy of the database as of now into `path` (which must not exist), verified and synced.
  // Blocks for as long as the copy takes; reads and writes go on. For a backup thread. Given up soon after a
  // stop was requested: unavailable, and nothing is left of it.
  virtual Result<void> copy_to(const std::string& path, const std::stop_token& stop) = 0;
  Result<void> copy_to(const std::string& path) { return copy_to(path, {}); }

  virtual std::uint64_t size_bytes() const = 0;

 protected:
  virtual Session& begin_read() = 0;
  virtual void end_read() noexcept = 0;

 private:
  class End {
   public:
    explicit End(Database& database) : database_(database) {}
    ~End() { database_.end_read(); }
    End(const End&) = delete;
    End& operator=(const End&) = delete;

   private:
    Database& database_;
  };
};

}  // namespace stele::sql
