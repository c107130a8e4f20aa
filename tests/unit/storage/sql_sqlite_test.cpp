// The SQLite driver: the contract of every Database, and what is SQLite's alone.

#include <sqlite3.h>
#include <sys/stat.h>

#include <iostream>

#include "tests/suites/database_suite.hpp"
#include "tests/unit/storage/sql_fixture.hpp"

namespace stele {
namespace {

using namespace sql_test;
namespace suite = suites::database_suite;

class SqliteFixture final : public suites::DatabaseFixture {
 public:
  SqliteFixture() { restart(); }
  sql::Database& database() override { return *database_; }
  void restart() override {
    database_.reset();
    database_ = sql::open_sqlite(directory_ / "stele.db").value();
  }
  std::string copy_path() override { return directory_ / ("copy-" + std::to_string(++copies_)); }
  std::int64_t notes_in_copy(const std::string& path) override {
    CHECK(fine(sql::verify_sqlite(path)));
    CHECK(::access((path + "-wal").c_str(), F_OK) != 0);
    CHECK(::access((path + ".tmp").c_str(), F_OK) != 0);
    const auto copy = sql::open_sqlite(path).value();
    return suite::count(*copy);
  }

 private:
  TemporaryDirectory directory_;
  std::unique_ptr<sql::Database> database_;
  int copies_ = 0;
};

std::unique_ptr<suites::DatabaseFixture> make() {
  return std::make_unique<SqliteFixture>();
}

TEST_CASE("sqlite: values come back as they went in", "[sql]") {
  suite::values(make);
}
TEST_CASE("sqlite: queries nest", "[sql]") {
  suite::queries_nest(make);
}
TEST_CASE("sqlite: names sort bytewise", "[sql]") {
  suite::names_sort_bytewise(make);
}
TEST_CASE("sqlite: sequences are never reused", "[sql]") {
  suite::sequences_are_never_reused(make);
}
TEST_CASE("sqlite: transactions and savepoints", "[sql]") {
  suite::transactions(make);
}
TEST_CASE("sqlite: failures are errors", "[sql]") {
  suite::failures(make);
}
TEST_CASE("sqlite: reads see acknowledged writes", "[sql]") {
  suite::reads_see_acknowledged_writes(make);
}
TEST_CASE("sqlite: long reads do not block writes", "[sql]") {
  suite::long_reads_do_not_block_writes(make);
}
TEST_CASE("sqlite: copies of a running database", "[sql]") {
  suite::copies(make);
}

mode_t mode_of(const std::string& path) {
  struct stat info{};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  return info.st_mode & 07777;
}

std::string setting(sql::Session& session, const std::string& pragma) {
  auto row = session.query("PRAGMA " + pragma);
  REQUIRE(row.next());
  return std::string(row.text(0));
}

TEST_CASE("sqlite: settings of durability and memory", "[sql]") {
  TemporaryDirectory directory;
  const mode_t old = ::umask(0077);
  const auto database = sql::open_sqlite(directory / "tight.db").value();
  ::umask(0);
  const auto wide = sql::open_sqlite(directory / "stele.db").value();
  suite::make_notes(*wide);
  suite::count(*wide);
  ::umask(old);
  for (const char* name : {"tight.db", "stele.db", "stele.db-wal", "stele.db-shm"})
    CHECK(mode_of(directory / name) == 0600);

  auto& writer = wide->writer();
  CHECK(setting(writer, "journal_mode") == "wal");
  CHECK(setting(writer, "synchronous") == "2");  // FULL
  CHECK(setting(writer, "foreign_keys") == "1");
  CHECK(setting(writer, "temp_store") == "2");  // memory
  CHECK(setting(writer, "mmap_size") == "0");
  suite::read(*wide, [](sql::Session& session) {
    CHECK(setting(session, "wal_autocheckpoint") == "0");
    CHECK(setting(session, "temp_store") == "2");  // memory
    CHECK(setting(session, "mmap_size") == "0");
  });
}

namespace {
constexpr int as_long_as_it_takes = 20'000;
// It starts over at eight times 50 pages, after the write that reaches them. Left alone it grows to 9,000.
constexpr std::uintmax_t longest_log = 8 * 50 + 100;
}  // namespace

TEST_CASE("sqlite: the log is copied at its length, and starts over although readers always hold a snapshot",
          "[sql]") {
  TemporaryDirectory directory;
  sql::SqliteOptions options;
  options.checkpoint_pages = 50;
  options.restart_wait_ms = as_long_as_it_takes;
  auto database = sql::open_sqlite(directory / "stele.db", options).value();
  suite::make_notes(*database);
  std::atomic<bool> stop{false};
  std::vector<std::thread> readers;
  const auto read_once = [&] {
    (void)database->read([](sql::Session& session) -> Result<void> {
      session.execute("SELECT count(*) FROM notes");
      return {};
    });
  };
  for (int i = 0; i < 2; ++i) {  // as I/O threads do
    readers.emplace_back([&] {
      for (unsigned number = 0; !stop; ++number) {
        read_once();
        if (number % 100 == 0) database->renew_kept_snapshot();
      }
    });
  }
  read_once();  // and a thread that reads once and lives on, like the one that starts the server
  std::uintmax_t longest = 0;
  for (int i = 0; i < 3000; ++i) {
    suite::add_note(*database, std::to_string(i));
    database->writer().maintain();
    longest = std::max(longest, std::filesystem::file_size(directory / "stele.db-wal"));
  }
  stop = true;
  for (auto& reader : readers) reader.join();
  std::cout << "sqlite: log under constant reading: at most " << longest / 4096 << " pages\n";
  CHECK(longest < 4096 * longest_log);
  CHECK(suite::count(*database) == 3000);
  // A clean stop leaves one file.
  database.reset();
  CHECK_FALSE(std::filesystem::exists(directory / "stele.db-wal"));
}

TEST_CASE("sqlite: threads that keep a snapshot are asked to let go when the log has to start over",
          "[sql]") {
  TemporaryDirectory directory;
  std::atomic<unsigned> asked{0};
  sql::SqliteOptions options;
  options.checkpoint_pages = 50;
  options.restart_wait_ms = as_long_as_it_takes;
  options.snapshots_wanted = [&] { ++asked; };
  auto database = sql::open_sqlite(directory / "stele.db", options).value();
  suite::make_notes(*database);
  suite::add_note(*database, "in the log");  // who reads the main file alone is in nobody's way
  std::atomic<bool> keeps{false};
  std::atomic<bool> stop{false};
  const auto read_once = [&] {
    (void)database->read([](sql::Session& session) -> Result<void> {
      session.execute("SELECT count(*) FROM notes");
      return {};
    });
  };
  std::thread keeper([&] {  // never lets go by itself
    read_once();
    for (unsigned answered = 0; !stop;) {
      database->renew_kept_snapshot();
      read_once();
      keeps = true;
      while (asked == answered && !stop) std::this_thread::sleep_for(std::chrono::microseconds(50));
      answered = asked;
      database->release_kept_snapshot();
      for (int i = 0; i < 1000; ++i) read_once();
    }
  });
  while (!keeps) std::this_thread::yield();
  std::uintmax_t longest = 0;
  for (int i = 0; i < 3000; ++i) {
    suite::add_note(*database, std::to_string(i));
    database->writer().maintain();
    longest = std::max(longest, std::filesystem::file_size(directory / "stele.db-wal"));
  }
  stop = true;
  keeper.join();
  std::cout << "sqlite: asked " << asked << " times, log at most " << longest / 4096 << " pages\n";
  CHECK(asked > 0);
  CHECK(longest < 4096 * longest_log);
}

TEST_CASE("sqlite: a thread's reader goes with the thread", "[sql]") {
  TemporaryDirectory directory;
  auto database = sql::open_sqlite(directory / "stele.db").value();
  suite::make_notes(*database);
  const auto descriptors = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                         std::filesystem::directory_iterator());
  };
  std::thread([&] { suite::count(*database); }).join();
  const auto before = descriptors();
  for (int i = 0; i < 20; ++i) std::thread([&] { suite::count(*database); }).join();
  CHECK(descriptors() <= before + 1);
  // Its snapshot too: nothing holds the log.
  database->writer().checkpoint();
  CHECK(std::filesystem::file_size(directory / "stele.db-wal") == 0);

  // A thread that outlives the database.
  std::atomic<int> step{0};
  std::thread late([&] {
    suite::count(*database);
    step = 1;
    while (step != 2) std::this_thread::yield();
  });
  while (step != 1) std::this_thread::yield();
  database.reset();
  step = 2;
  late.join();
}

// --- files that are not, or no longer, a catalog

void check_refused(const std::string& path) {
  const std::string before = read_file(path);
  const auto opened = sql::open_sqlite(path);
  CHECK(errc(opened) == Errc::corrupt);
  const std::string message = opened.error().message();
  CHECK(message.find(path) != std::string::npos);
  CHECK(message.find("backups/") != std::string::npos);
  CHECK(message.find("stele serve") != std::string::npos);
  CHECK(read_file(path) == before);
}

TEST_CASE("sqlite: a damaged file is refused with what to do, and left as it is", "[sql]") {
  TemporaryDirectory directory;
  const std::string path = directory / "stele.db";
  SECTION("not a database") {
    write_file(path, std::string(20'000, 'g'));
    check_refused(path);
  }
  SECTION("truncated, or with a damaged header") {
    {
      const auto database = sql::open_sqlite(path).value();
      suite::make_notes(*database);
      for (int i = 0; i < 500; ++i) suite::add_note(*database, std::string(100, 'x') + std::to_string(i));
    }
    const std::string sound = read_file(path);
    REQUIRE(sound.size() > 40'000);
    for (const std::size_t size : {std::size_t{50}, std::size_t{1000}, std::size_t{4096}, std::size_t{8192},
                                   sound.size() - 4096, sound.size() - 1}) {
      INFO(size);
      write_file(path, sound.substr(0, size));
      check_refused(path);
      CHECK(errc(sql::verify_sqlite(path)) == Errc::corrupt);
    }
    std::string damaged = sound;
    damaged.replace(0, 8, "SQLittle");
    write_file(path, damaged);
    check_refused(path);
    damaged = sound;
    damaged[100] = 'x';  // the first page's kind
    write_file(path, damaged);
    check_refused(path);
    // Deeper damage is for verify, which looks at everything.
    damaged = sound;
    for (std::size_t at = 4096 * 5; at < 4096 * 6; ++at) damaged[at] = 'x';
    write_file(path, damaged);
    CHECK(errc(sql::verify_sqlite(path)) == Errc::corrupt);
    write_file(path, sound);
    CHECK(fine(sql::verify_sqlite(path)));
  }
  SECTION("places where no file can be") {
    CHECK(errc(sql::open_sqlite(directory / "missing/stele.db")) == Errc::io);
    std::filesystem::create_directory(path);
    CHECK(errc(sql::open_sqlite(path)) == Errc::io);
    CHECK(errc(sql::verify_sqlite(directory / "nothing.db")) == Errc::io);
  }
}

TEST_CASE("sqlite: names of files are taken literally", "[sql]") {
  TemporaryDirectory directory;
  const auto database = sql::open_sqlite(directory / "a?mode=memory#x%41.db").value();
  suite::make_notes(*database);
  suite::add_note(*database, "here");
  const std::string copy = directory / "b?immutable=0#y%20.db";
  REQUIRE(fine(database->copy_to(copy)));
  CHECK(mode_of(copy) == 0600);
  CHECK(fine(sql::verify_sqlite(copy)));
  CHECK(suite::count(*sql::open_sqlite(copy).value()) == 1);
}

}  // namespace
}  // namespace stele
