#pragma once
// Tells of each statement that SQLite begins, on every connection that is opened while it lives: so a test
// counts what something costs, or does something just before a row is read.

#include <functional>
#include <string_view>

namespace stele {

// One at a time. Made before the database is opened, and goes after it.
class SqliteStatements {
 public:
  // `begins` runs on the statement's own thread, before it has read anything.
  explicit SqliteStatements(std::function<void(std::string_view sql)> begins);
  ~SqliteStatements();
  SqliteStatements(const SqliteStatements&) = delete;
  SqliteStatements& operator=(const SqliteStatements&) = delete;

  void begun(std::string_view sql) const { begins_(sql); }

 private:
  const std::function<void(std::string_view)> begins_;
};

}  // namespace stele
