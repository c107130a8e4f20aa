#include "tests/support/sqlite_statements.hpp"

#include <sqlite3.h>

#include <utility>

namespace stele {
namespace {

SqliteStatements* present_statements = nullptr;

int statement_begins(unsigned, void* self, void* statement, void*) {
  const char* sql = sqlite3_sql(static_cast<sqlite3_stmt*>(statement));
  if (sql != nullptr) static_cast<SqliteStatements*>(self)->begun(sql);
  return 0;
}

int trace_statements(sqlite3* connection, char**, const sqlite3_api_routines*) {
  return sqlite3_trace_v2(connection, SQLITE_TRACE_STMT, &statement_begins, present_statements);
}

// As SQLite wants it to be given.
auto as_extension() {
  return reinterpret_cast<void (*)()>(&trace_statements);
}

}  // namespace

SqliteStatements::SqliteStatements(std::function<void(std::string_view sql)> begins)
    : begins_(std::move(begins)) {
  present_statements = this;
  sqlite3_auto_extension(as_extension());
}

SqliteStatements::~SqliteStatements() {
  sqlite3_cancel_auto_extension(as_extension());
  present_statements = nullptr;
}

}  // namespace stele
