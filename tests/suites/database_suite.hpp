#pragma once
// What every Database must do (storage/sql/database.hpp): I1 (across a restart), I4 (all or nothing), and
// what reads may rely on. Each engine's test makes a fixture and calls the functions from a TEST_CASE of its
// own.

#include <atomic>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "storage/sql/database.hpp"
#include "tests/support/catch.hpp"

namespace stele::suites {

// An empty database, and what stands for the process that uses it.
class DatabaseFixture {
 public:
  virtual ~DatabaseFixture() = default;
  virtual sql::Database& database() = 0;
  // The database as a new process finds it.
  virtual void restart() = 0;
  // A file name for a copy, which does not exist.
  virtual std::string copy_path() = 0;
  // Rows of table `notes` in the copy at `path`.
  virtual std::int64_t notes_in_copy(const std::string& path) = 0;
};
using MakeDatabase = std::function<std::unique_ptr<DatabaseFixture>()>;

namespace database_suite {

inline void make_notes(sql::Database& database) {
  auto& writer = database.writer();
  writer.begin();
  writer.run_script(
      "CREATE TABLE notes (id @sequence@, number @integer@, text @name@ UNIQUE, bytes @bytes@) @strict@;");
  writer.commit();
  database.committed();
}

inline void add_note(sql::Database& database, std::string_view text) {
  auto& writer = database.writer();
  writer.begin();
  writer.execute("INSERT INTO notes (text) VALUES ($1)", text);
  writer.commit();
  database.committed();
}

inline std::int64_t count(sql::Session& session) {
  auto row = session.query("SELECT count(*) FROM notes");
  REQUIRE(row.next());
  return row.integer(0);
}

inline std::int64_t count(sql::Database& database) {
  return database.read([](sql::Session& session) -> Result<std::int64_t> { return count(session); }).value();
}

// Runs `f(Session&)` in one read.
template <class F>
void read(sql::Database& database, F f) {
  const auto done = database.read([&](sql::Session& session) -> Result<void> {
    f(session);
    return {};
  });
  REQUIRE(done.has_value());
}

template <class F>
sql::Failure::Kind failure_of(F f) {
  try {
    f();
  } catch (const sql::Failure& failure) {
    CHECK_FALSE(std::string(failure.what()).empty());
    return failure.kind();
  }
  FAIL("no failure");
  return sql::Failure::Kind::other;
}

// Values come back as they went in, whatever they contain.
inline void values(const MakeDatabase& make) {
  const auto fixture = make();
  auto& database = fixture->database();
  make_notes(database);
  const std::string odd("a\0b\xc3\xa9'\"$1", 9);
  const std::string large(300'000, 'x');
  auto& writer = database.writer();
  writer.begin();
  for (const std::int64_t number : {std::numeric_limits<std::int64_t>::min(), std::int64_t{-1},
                                    std::int64_t{0}, std::numeric_limits<std::int64_t>::max()}) {
    CHECK(writer.execute("INSERT INTO notes (number) VALUES ($1)", number) == 1);
  }
  CHECK(writer.execute("INSERT INTO notes (number, text, bytes) VALUES (100, $1, $2)", "", as_bytes("")) ==
        1);
  CHECK(writer.execute("INSERT INTO notes (number, text, bytes) VALUES (101, $2, $1)", as_bytes(odd),
                       "ä\n☃") == 1);
  CHECK(writer.execute("INSERT INTO notes (number, text, bytes) VALUES (102, $1, $2)", large,
                       as_bytes(large)) == 1);
  CHECK(writer.execute("INSERT INTO notes (number, text, bytes) VALUES (103, $1, $1)", std::nullopt) == 1);
  CHECK(writer.execute("INSERT INTO notes (number, text) VALUES (104, $1)",
                       std::optional<std::string>("there")) == 1);
  CHECK(writer.execute("INSERT INTO notes (number) VALUES ($1 + $1 + $2)", 40, 25) == 1);
  CHECK(writer.execute("UPDATE notes SET number = number WHERE number >= 100 AND number <= 104") == 5);
  CHECK(writer.execute("DELETE FROM notes WHERE number = 7777") == 0);
  writer.commit();
  database.committed();
  fixture->restart();

  read(fixture->database(), [&](sql::Session& session) {
    auto numbers =
        session.query("SELECT number FROM notes WHERE text IS NULL AND number <> 103 ORDER BY number");
    for (const std::int64_t number :
         {std::numeric_limits<std::int64_t>::min(), std::int64_t{-1}, std::int64_t{0}, std::int64_t{105},
          std::numeric_limits<std::int64_t>::max()}) {
      REQUIRE(numbers.next());
      CHECK(numbers.integer(0) == number);
    }
    CHECK_FALSE(numbers.next());
    CHECK_FALSE(numbers.next());

    const auto row = [&](std::int64_t number) {
      auto found = session.query("SELECT text, bytes FROM notes WHERE number = $1", number);
      REQUIRE(found.next());
      return found;
    };
    {
      auto empty = row(100);
      CHECK_FALSE(empty.is_null(0));
      CHECK_FALSE(empty.is_null(1));
      CHECK(empty.text(0).empty());
      CHECK(empty.bytes(1).empty());
    }
    CHECK(row(101).text(0) == "ä\n☃");
    CHECK(as_text(row(101).bytes(1)) == odd);
    CHECK(row(102).text(0) == large);
    CHECK(as_text(row(102).bytes(1)) == large);
    CHECK(row(103).is_null(0));
    CHECK_FALSE(row(103).optional_text(0).has_value());
    CHECK(row(104).optional_text(0) == "there");
  });
}

// A query may run inside another of the same text; one that ended early leaves nothing behind.
inline void queries_nest(const MakeDatabase& make) {
  const auto fixture = make();
  make_notes(fixture->database());
  for (const char* text : {"a", "b", "c"}) add_note(fixture->database(), text);
  read(fixture->database(), [](sql::Session& session) {
    const char* sql = "SELECT text FROM notes WHERE text >= $1 ORDER BY text";
    std::string seen;
    for (auto outer = session.query(sql, "a"); outer.next();) {
      seen += outer.text(0);
      for (auto inner = session.query(sql, outer.text(0)); inner.next();) seen += inner.text(0);
    }
    CHECK(seen == "aabcbbccc");
    for (int i = 0; i < 3; ++i) {
      auto query = session.query(sql, "b");
      REQUIRE(query.next());
      CHECK(query.text(0) == "b");
    }
  });
}

inline void names_sort_bytewise(const MakeDatabase& make) {
  const auto fixture = make();
  make_notes(fixture->database());
  const std::vector<std::string> names = {"",    "1.0", "A",   "Z",  "_", "a",
                                          "a-b", "a.b", "a/b", "aa", "b", "\xc3\xa9"};
  for (auto name = names.rbegin(); name != names.rend(); ++name) add_note(fixture->database(), *name);
  read(fixture->database(), [&](sql::Session& session) {
    auto rows = session.query("SELECT text FROM notes ORDER BY text");
    for (const std::string& name : names) {
      REQUIRE(rows.next());
      CHECK(rows.text(0) == name);
    }
    auto after = session.query("SELECT count(*) FROM notes WHERE text > $1", "a-b");
    REQUIRE(after.next());
    CHECK(after.integer(0) == 5);
  });
}

// Keys of a @sequence@ only rise, also past rows that are gone.
inline void sequences_are_never_reused(const MakeDatabase& make) {
  const auto fixture = make();
  make_notes(fixture->database());
  std::int64_t last = 0;
  for (int round = 0; round < 3; ++round) {
    auto& writer = fixture->database().writer();
    writer.begin();
    {
      auto inserted = writer.query("INSERT INTO notes (text) VALUES ($1) RETURNING id", "text");
      REQUIRE(inserted.next());
      CHECK(inserted.integer(0) > last);
      last = inserted.integer(0);
      CHECK_FALSE(inserted.next());
    }
    writer.execute("DELETE FROM notes");
    writer.commit();
    fixture->database().committed();
    if (round == 1) fixture->restart();
  }
}

inline void transactions(const MakeDatabase& make) {
  const auto fixture = make();
  make_notes(fixture->database());
  auto& writer = fixture->database().writer();
  CHECK_FALSE(writer.in_transaction());
  writer.begin();
  CHECK(writer.in_transaction());
  writer.execute("INSERT INTO notes (text) VALUES ('gone')");
  CHECK(count(fixture->database()) == 0);  // not before the commit
  writer.rollback();
  writer.rollback();  // without a transaction: nothing
  CHECK_FALSE(writer.in_transaction());

  writer.begin();
  writer.savepoint();
  writer.execute("INSERT INTO notes (text) VALUES ('kept')");
  writer.release_savepoint();
  writer.savepoint();
  writer.execute("INSERT INTO notes (text) VALUES ('also gone')");
  writer.rollback_to_savepoint();
  CHECK(writer.in_transaction());
  writer.savepoint();
  CHECK(failure_of([&] { writer.execute("INSERT INTO notes (text) VALUES ('kept')"); }) ==
        sql::Failure::Kind::constraint);
  writer.rollback_to_savepoint();
  writer.execute("INSERT INTO notes (text) VALUES ('kept too')");
  writer.commit();
  fixture->database().committed();
  CHECK(count(fixture->database()) == 2);
  fixture->restart();
  CHECK(count(fixture->database()) == 2);
  CHECK(fixture->database().writer().tables() == std::vector<std::string>{"notes"});
}

inline void failures(const MakeDatabase& make) {
  const auto fixture = make();
  make_notes(fixture->database());
  const auto missing = fixture->database().read([](sql::Session& session) -> Result<void> {
    session.execute("SELECT nothing FROM nowhere");
    return {};
  });
  REQUIRE_FALSE(missing.has_value());
  CHECK(missing.error().code() == Errc::internal);
  // A reader does not write, and one bad query leaves the session whole.
  const auto written = fixture->database().read([](sql::Session& session) -> Result<void> {
    session.execute("INSERT INTO notes (text) VALUES ('by a reader')");
    return {};
  });
  CHECK_FALSE(written.has_value());
  CHECK(failure_of([&] { fixture->database().writer().query("SELECT $1", 1, 2); }) ==
        sql::Failure::Kind::other);
  CHECK(count(fixture->database()) == 0);
}

// What was acknowledged is seen by every read that begins later, on any thread.
inline void reads_see_acknowledged_writes(const MakeDatabase& make) {
  const auto fixture = make();
  make_notes(fixture->database());
  constexpr int writes = 200;
  std::atomic<int> acknowledged{0};
  std::atomic<bool> stale{false};
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      int last = 0;
      while (last < writes) {
        last = acknowledged.load();
        const auto seen = fixture->database().read([](sql::Session& session) -> Result<std::int64_t> {
          auto row = session.query("SELECT count(*) FROM notes");
          row.next();
          return row.integer(0);
        });
        if (!seen || *seen < last) stale = true;
      }
    });
  }
  for (int i = 0; i < writes; ++i) {
    add_note(fixture->database(), std::to_string(i));
    acknowledged = i + 1;
  }
  for (auto& reader : readers) reader.join();
  CHECK_FALSE(stale);
}

// A read is one snapshot, however long it takes; writers do not wait for it.
inline void long_reads_do_not_block_writes(const MakeDatabase& make) {
  const auto fixture = make();
  auto& database = fixture->database();
  make_notes(database);
  add_note(database, "first");
  std::atomic<int> step{0};
  std::int64_t before = -1;
  std::int64_t after = -1;
  std::int64_t nested = -1;
  std::int64_t next = -1;
  std::thread reader([&] {
    const auto counted = [](sql::Session& session) -> Result<std::int64_t> {
      auto row = session.query("SELECT count(*) FROM notes");
      row.next();
      return row.integer(0);
    };
    const auto read_twice = database.read([&](sql::Session& session) -> Result<void> {
      auto open = session.query("SELECT text FROM notes");
      open.next();
      before = *counted(session);
      step = 1;
      while (step != 2) std::this_thread::yield();
      after = *counted(session);
      nested = *database.read(counted);  // in the outer one's snapshot
      return {};
    });
    if (read_twice) next = database.read(counted).value();
    database.renew_kept_snapshot();
    database.renew_kept_snapshot();
  });
  while (step != 1) std::this_thread::yield();
  for (int i = 0; i < 50; ++i) add_note(database, "later " + std::to_string(i));
  database.writer().checkpoint();
  step = 2;
  reader.join();
  CHECK(before == 1);
  CHECK(after == 1);
  CHECK(nested == 1);
  CHECK(next == 51);
}

// A copy is one moment of the database, while it is written.
inline void copies(const MakeDatabase& make) {
  const auto fixture = make();
  auto& database = fixture->database();
  make_notes(database);
  for (int i = 0; i < 100; ++i) add_note(database, std::to_string(i));
  const std::string path = fixture->copy_path();
  const auto copied = database.copy_to(path);
  if (!copied) UNSCOPED_INFO(copied.error().message());
  REQUIRE(copied.has_value());
  CHECK(fixture->notes_in_copy(path) == 100);
  CHECK_FALSE(database.copy_to(path).has_value());  // does not overwrite
  std::stop_source stopping;
  stopping.request_stop();
  const auto given_up = database.copy_to(path + "-given-up", stopping.get_token());
  REQUIRE_FALSE(given_up.has_value());
  CHECK(given_up.error().code() == Errc::unavailable);
  for (const char* rest : {"-given-up", "-given-up.tmp"}) CHECK_FALSE(std::filesystem::exists(path + rest));

  std::atomic<bool> stop{false};
  std::int64_t written = 100;
  std::thread writer([&] {
    while (!stop) add_note(database, std::to_string(written++));
  });
  for (int i = 0; i < 5; ++i) {
    const std::string other = fixture->copy_path();
    REQUIRE(database.copy_to(other).has_value());
    CHECK(fixture->notes_in_copy(other) >= 100);
  }
  stop = true;
  writer.join();
  CHECK(count(database) == written);
  CHECK(database.size_bytes() > 0);
}

}  // namespace database_suite
}  // namespace stele::suites
