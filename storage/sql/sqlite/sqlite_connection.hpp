#pragma once
// One SQLite connection and its prepared statements: what the read and the write session of the driver are
// made of.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "storage/sql/session.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace stele::sql {

class SqliteConnection;

// The driver's side of Statement. `$1`, `$2`, … are named parameters to SQLite, so that one may occur several
// times.
class SqliteStatement final : public Statement {
 public:
  SqliteStatement(SqliteConnection& connection, std::string_view sql);  // throws Failure
  ~SqliteStatement() override;
  SqliteStatement(const SqliteStatement&) = delete;
  SqliteStatement& operator=(const SqliteStatement&) = delete;

  void bind(int parameter, const Value&) override;
  bool step() override;
  void reset() override;
  bool is_null(int column) override;
  std::int64_t integer(int column) override;
  std::string_view text(int column) override;
  ByteView bytes(int column) override;
  std::int64_t changes() override;

  bool in_use() const { return in_use_; }
  void take();

 private:
  SqliteConnection& connection_;
  sqlite3_stmt* statement_ = nullptr;
  std::vector<int> parameters_;  // SQLite's index of $1, $2, …; 0 where the text has none
  bool in_use_ = false;
  bool ended_ = false;  // SQLite would start again at the next step
};

// One thread at a time. Throws Failure.
class SqliteConnection {
 public:
  // `flags`: SQLITE_OPEN_READONLY and the like. `vfs`: empty for SQLite's own.
  SqliteConnection(const std::string& path, int flags, const std::string& vfs);
  ~SqliteConnection();
  SqliteConnection(const SqliteConnection&) = delete;
  SqliteConnection& operator=(const SqliteConnection&) = delete;

  sqlite3* handle() const { return db_; }
  const std::string& path() const { return path_; }

  Statement& statement(std::string_view sql);
  std::int64_t changes() const;
  bool in_transaction() const;

  // Several statements, their rows thrown away.
  void run(const std::string& sql);
  // The first column of the only row.
  std::string value_of(const std::string& sql);
  // The connection's last close leaves the log alone.
  void leave_log_on_close();

 private:
  friend class SqliteStatement;
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  using Copies = std::vector<std::unique_ptr<SqliteStatement>>;

  std::string path_;
  sqlite3* db_ = nullptr;
  // The catalog's texts are literals, so their number is bounded. A text has more than one copy when queries
  // nest.
  std::unordered_map<std::string, Copies, TextHash, std::equal_to<>> statements_;
};

}  // namespace stele::sql
