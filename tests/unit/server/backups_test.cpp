#include "server/backups.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "tests/support/registry_fixture.hpp"

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
