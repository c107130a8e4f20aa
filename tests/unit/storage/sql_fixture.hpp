#pragma once
// What the tests of sql/ and catalog/ share: a directory that goes away, waiting for a write, a look at all
// rows.

#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "base/digest.hpp"
#include "base/pending.hpp"
#include "base/task.hpp"
#include "storage/sql/sqlite/sqlite_database.hpp"
#include "storage/sql/writer.hpp"
#include "tests/support/catch.hpp"

namespace stele::sql_test {

// In memory when there is such a place: thousands of databases are made, and no test here is about the disk
// itself.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern =
        (::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp") + std::string("/stele-sql-XXXXXX");
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

inline void write_file(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}

// Waits for a write (or for a pool's work) on the test's thread.
template <class T>
T wait_for(Pending<T> pending) {
  const auto body = [](Pending<T> running) -> Task<T> { co_return co_await running; };
  return sync_wait(body(std::move(pending)));
}

// For REQUIRE and CHECK: whether it worked, and if not, with the error in the report.
template <class T>
bool fine(const Result<T>& result) {
  if (!result) UNSCOPED_INFO(to_string(result.error().code()) << ": " << result.error().message());
  return result.has_value();
}

template <class T>
Errc errc(const Result<T>& result) {
  REQUIRE_FALSE(result.has_value());
  CHECK_FALSE(result.error().message().empty());
  return result.error().code();
}

template <class T>
T parsed(std::string_view text) {
  return T::parse(text).value();
}

inline Digest digest_of(std::string_view bytes) {
  return Digest::of(DigestAlgorithm::sha256, bytes);
}

// Session hands its statements to queries only; a session that stands before another needs them too.
struct SessionAccess : sql::Session {
  static sql::Statement& statement_of(sql::Session& session, std::string_view sql) {
    return (session.*(&SessionAccess::statement))(sql);
  }
  static std::int64_t changes_of(sql::Session& session, std::string_view sql) {
    return (session.*(&SessionAccess::changes))(sql);
  }
};

// A write connection before another one; what a test wants different it overrides.
class ForwardingConnection : public sql::WriteConnection {
 public:
  explicit ForwardingConnection(sql::WriteConnection& inner) : inner_(inner) {}
  void begin() override { inner_.begin(); }
  void commit() override { inner_.commit(); }
  void rollback() noexcept override { inner_.rollback(); }
  void savepoint() override { inner_.savepoint(); }
  void release_savepoint() override { inner_.release_savepoint(); }
  void rollback_to_savepoint() override { inner_.rollback_to_savepoint(); }
  bool in_transaction() const override { return inner_.in_transaction(); }
  std::vector<std::string> tables() override { return inner_.tables(); }
  void run_script(std::string_view sql) override { inner_.run_script(sql); }
  void maintain() override { inner_.maintain(); }
  void checkpoint() noexcept override { inner_.checkpoint(); }

 protected:
  sql::Statement& statement(std::string_view sql) override {
    return SessionAccess::statement_of(inner_, sql);
  }
  std::int64_t changes(std::string_view sql) override { return SessionAccess::changes_of(inner_, sql); }

 private:
  sql::WriteConnection& inner_;
};

}  // namespace stele::sql_test
