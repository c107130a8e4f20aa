#pragma once
// Tells of each statement that SQLite begins, on every connection that is opened while it lives: so a test
// counts what something costs, or does something just before a row is read.

#include <sqlite3.h>

#include <functional>
#include <string_view>
#include <utility>

namespace stele {

// One at a time. Made before the database is opened, and goes after it.
class SqliteStatements {
 public:
  // `begins` runs on the statement's own thread, before it has read anything.
  explicit SqliteStatements(std::function<void(std::string_view sql)> begins) : begins_(std::move(begins)) {
    one_ = this;
    sqlite3_auto_extension(entry());
  }
  ~SqliteStatements() {
    sqlite3_cancel_auto_extension(entry());
    one_ = nullptr;
  }
  SqliteStatements(const SqliteStatements&) = delete;
  SqliteStatements& operator=(const SqliteStatements&) = delete;

 private:
  using Entry = void (*)();
  static Entry entry() { return reinterpret_cast<Entry>(&attach); }  // as SQLite wants it to be given
  static int attach(sqlite3* connection, char**, const sqlite3_api_routines*) {
    return sqlite3_trace_v2(connection, SQLITE_TRACE_STMT, &began, one_);
  }
  static int began(unsigned, void* self, void* statement, void*) {
    const char* sql = sqlite3_sql(static_cast<sqlite3_stmt*>(statement));
    if (sql != nullptr) static_cast<SqliteStatements*>(self)->begins_(sql);
    return 0;
  }

  static inline SqliteStatements* one_ = nullptr;
  const std::function<void(std::string_view)> begins_;
};

}  // namespace stele
