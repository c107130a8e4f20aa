#include "server/backups.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <stop_token>

#include "tests/support/registry_fixture.hpp"
#include "tests/support/sqlite_statements.hpp"

namespace stele {
namespace {

constexpr std::int64_t day = 86'400;

std::vector<std::string> files(const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory))
    names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

TEST_CASE("server: snapshots are made when due and the oldest go") {
  RegistryFixture fixture;
  fixture.push_blob("a", "content");
  const std::string directory = fixture.path + "/backups";
  auto backups = Backups::open(directory, *fixture.database, fixture.clock);
  REQUIRE(backups.has_value());
  struct stat info{};
  REQUIRE(::stat(directory.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0700);

  CHECK_FALSE(backups->make_if_due(0, 3).value().has_value());  // 0: never
  const auto first = backups->make_if_due(day, 3).value();
  REQUIRE(first.has_value());
  CHECK(*first == "stele-20270115T080000Z.db");
  CHECK(sql::verify_sqlite(directory + "/" + *first).has_value());
  CHECK_FALSE(backups->make_if_due(day, 3).value().has_value());
  fixture.clock.advance(day - 1);
  CHECK_FALSE(backups->make_if_due(day, 3).value().has_value());
  fixture.clock.advance(1);
  CHECK(backups->make_if_due(day, 3).value().has_value());
  // A restart does not forget when the last one was made.
  auto again = Backups::open(directory, *fixture.database, fixture.clock);
  CHECK_FALSE(again->make_if_due(day, 3).value().has_value());
  for (int i = 0; i < 3; ++i) {
    fixture.clock.advance(day);
    CHECK(again->make_if_due(day, 3).value().has_value());
  }
  CHECK(files(directory) == std::vector<std::string>{"stele-20270117T080000Z.db", "stele-20270118T080000Z.db",
                                                     "stele-20270119T080000Z.db"});
  // Fewer from now on, but never none.
  fixture.clock.advance(day);
  CHECK(again->make_if_due(day, 0).value().has_value());
  CHECK(files(directory) == std::vector<std::string>{"stele-20270120T080000Z.db"});
}

TEST_CASE("server: a snapshot dated in the future delays no other and goes first") {
  RegistryFixture fixture;
  const std::string directory = fixture.path + "/backups";
  std::filesystem::create_directories(directory);
  std::ofstream(directory + "/stele-20990101T000000Z.db") << "x";
  auto backups = Backups::open(directory, *fixture.database, fixture.clock);
  CHECK_FALSE(backups->newest_age_seconds());
  CHECK(backups->make_if_due(day, 2).value().has_value());
  CHECK(backups->newest_age_seconds() == 0.0);
  CHECK_FALSE(backups->make_if_due(day, 2).value().has_value());
  fixture.clock.advance(day);
  CHECK(backups->make_if_due(day, 2).value().has_value());
  CHECK(files(directory) ==
        std::vector<std::string>{"stele-20270115T080000Z.db", "stele-20270116T080000Z.db"});
}

TEST_CASE("server: what is not a snapshot of ours is neither counted nor removed; debris is") {
  RegistryFixture fixture;
  const std::string directory = fixture.path + "/backups";
  std::filesystem::create_directories(directory);
  for (const char* name :
       {"stele-mine.db", "notes.txt", "stele-20991301T000000Z.db", "download-abc.db", "x.tmp"}) {
    std::ofstream(directory + "/" + name) << "x";
  }
  auto backups = Backups::open(directory, *fixture.database, fixture.clock);
  REQUIRE(backups.has_value());
  CHECK(backups->make_if_due(day, 1).value().has_value());
  fixture.clock.advance(day);
  CHECK(backups->make_if_due(day, 1).value().has_value());
  CHECK(files(directory) == std::vector<std::string>{"notes.txt", "stele-20270116T080000Z.db",
                                                     "stele-20991301T000000Z.db", "stele-mine.db"});
}

TEST_CASE("server: a failed snapshot is an error, takes nothing away and is not tried every second") {
  RegistryFixture fixture;
  const std::string directory = fixture.path + "/backups";
  auto backups = Backups::open(directory, *fixture.database, fixture.clock);
  REQUIRE(backups->make_if_due(day, 1).value().has_value());
  fixture.clock.advance(day);
  std::filesystem::rename(directory, directory + "-away");
  CHECK_FALSE(backups->make_if_due(day, 1).has_value());
  std::filesystem::rename(directory + "-away", directory);
  CHECK_FALSE(backups->make_if_due(day, 1).value().has_value());
  CHECK(std::filesystem::exists(directory + "/stele-20270115T080000Z.db"));
  fixture.clock.advance(11 * 60);
  CHECK(backups->make_if_due(day, 1).value().has_value());
}

TEST_CASE("server: a stop does not wait for a snapshot under way, and nothing is left of it (A29)") {
  const std::string while_it = GENERATE("sqlite_master", "integrity_check");  // copies, is verified
  CAPTURE(while_it);
  std::stop_source stop;
  const SqliteStatements statements([&](std::string_view sql) {
    if (sql.find(while_it) != std::string_view::npos) stop.request_stop();
  });
  RegistryFixture fixture;
  // Enough for the check to look up from its work.
  auto filling = fixture.writer->write({}, [&](sql::Tx& tx) -> Result<void> {
    const auto name = RepositoryName::parse("a").value();
    const Digest digest = Digest::of(DigestAlgorithm::sha256, "x");
    for (int i = 0; i < 30'000; ++i) {
      catalog::put_removed_name(tx, name, Tag::parse("v" + std::to_string(i)).value(),
                                {"immutable", digest, fixture.clock.now(), "tester", {}, "", ""});
    }
    return {};
  });
  REQUIRE(sync_wait([&]() -> Task<Result<void>> { co_return co_await filling; }()).has_value());
  const std::string directory = fixture.path + "/backups";
  auto backups = Backups::open(directory, *fixture.database, fixture.clock);
  stop = {};  // opening the catalog read it too
  const auto made = backups->make_if_due(day, 3, stop.get_token());
  CHECK(stop.stop_requested());
  REQUIRE_FALSE(made.has_value());
  CHECK(made.error().code() == Errc::unavailable);
  CHECK(files(directory).empty());
}

TEST_CASE("server: a copy for download is whole and goes with the next start") {
  RegistryFixture fixture;
  fixture.push_blob("a", "content");
  const std::string directory = fixture.path + "/backups";
  auto backups = Backups::open(directory, *fixture.database, fixture.clock);
  const auto path = backups->copy_for_download();
  REQUIRE(path.has_value());
  CHECK(sql::verify_sqlite(*path).has_value());
  REQUIRE(Backups::open(directory, *fixture.database, fixture.clock).has_value());
  CHECK(files(directory).empty());
}

}  // namespace
}  // namespace stele
