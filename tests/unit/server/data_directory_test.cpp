#include "server/data_directory.hpp"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "tests/support/catch.hpp"
#include "tests/unit/storage/fs_fixture.hpp"

namespace stele {
namespace {

namespace stdfs = std::filesystem;

struct Place {
  fs::ScratchDirectory scratch;
  std::string data = scratch.path() + "/data";
  void file(const std::string& name, const std::string& content = "x") {
    stdfs::create_directories(stdfs::path(data + "/" + name).parent_path());
    std::ofstream(data + "/" + name) << content;
  }
  // The message of the refusal; empty when it opens.
  std::string refusal(bool require_existing = false) {
    const auto opened = DataDirectory::open(data, require_existing);
    if (opened) return {};
    CHECK(opened.error().code() == Errc::unavailable);
    CHECK(opened.error().message().find(data) != std::string::npos);
    return opened.error().message();
  }
};

bool says(const std::string& message, const char* part) {
  return message.find(part) != std::string::npos;
}

TEST_CASE("server: an absent or empty data directory is made ours, with mode 0700") {
  Place place;
  {
    const auto opened = DataDirectory::open(place.data, false);
    REQUIRE(opened.has_value());
    CHECK(opened->file("stele.db") == place.data + "/stele.db");
    struct stat info{};
    REQUIRE(::stat(place.data.c_str(), &info) == 0);
    CHECK((info.st_mode & 0777) == 0700);
    CHECK(stdfs::exists(place.data + "/lock"));
  }
  CHECK(place.refusal().empty());  // a lock file alone is an empty directory
  Place mounted;
  mounted.file("lost+found/x");
  CHECK(mounted.refusal().empty());
}

TEST_CASE("server: one server per data directory, and the refusal names the other") {
  Place place;
  auto first = DataDirectory::open(place.data, false);
  REQUIRE(first.has_value());
  const std::string message = place.refusal();
  CHECK(says(message, "another stele"));
  CHECK(says(message, std::to_string(::getpid()).c_str()));
  first = DataDirectory::open(place.scratch.path() + "/elsewhere", false);  // lets the first go
  CHECK(place.refusal().empty());
}

TEST_CASE("server: require_existing wants a catalog that is there") {
  Place place;
  CHECK(says(place.refusal(true), "require_existing"));
  CHECK_FALSE(stdfs::exists(place.data));
  stdfs::create_directories(place.data);
  CHECK(says(place.refusal(true), "require_existing"));
  place.file("stele.db", "");
  CHECK(says(place.refusal(true), "require_existing"));
  place.file("stele.db");
  CHECK(place.refusal(true).empty());
}

TEST_CASE("server: blobs without a catalog, or with an empty one, are not begun anew") {
  Place place;
  place.file("blobs/sha256/ab/abcdef");
  CHECK(says(place.refusal(), "backups"));
  place.file("stele.db", "");
  CHECK(says(place.refusal(), "backups"));
  CHECK_FALSE(stdfs::exists(place.data + "/lock"));
  place.file("stele.db");
  CHECK(place.refusal().empty());

  Place only_directories;
  stdfs::create_directories(only_directories.data + "/blobs/sha256/ab");
  stdfs::create_directories(only_directories.data + "/uploads");
  CHECK(only_directories.refusal().empty());
}

TEST_CASE("server: somebody else's directory is left alone") {
  Place place;
  place.file("thesis.tex");
  CHECK(says(place.refusal(), "thesis.tex"));
  CHECK_FALSE(stdfs::exists(place.data + "/lock"));

  Place file;
  std::ofstream(file.data) << "x";
  CHECK(says(file.refusal(), "not a directory"));
}

}  // namespace
}  // namespace stele
