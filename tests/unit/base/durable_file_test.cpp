#include "base/durable_file.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/random.hpp"
#include "tests/support/catch.hpp"

using namespace stele;

namespace {

struct Folder {
  Folder() : path(std::filesystem::temp_directory_path() / ("stele-durable-" + random_hex(8))) {
    std::filesystem::create_directory(path);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
};

std::string text_in(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST_CASE("a file is replaced as a whole, and its owner alone reads it") {
  const Folder folder;
  const std::string path = folder.path / "secret";
  for (const std::string text : {"first", "second, which is longer", ""}) {
    REQUIRE(replace_file(path, text).has_value());
    CHECK(text_in(path) == text);
  }
  struct stat info{};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777U) == 0600);
  CHECK_FALSE(std::filesystem::exists(path + ".new"));
}

TEST_CASE("a link that somebody put where the new file is written is not followed") {
  const Folder folder;
  const std::string path = folder.path / "secret", elsewhere = folder.path / "elsewhere";
  std::ofstream(elsewhere) << "theirs";
  std::filesystem::create_symlink(elsewhere, path + ".new");
  REQUIRE(replace_file(path, "ours").has_value());
  CHECK(text_in(path) == "ours");
  CHECK(text_in(elsewhere) == "theirs");
}

TEST_CASE("what cannot be written leaves the file as it was") {
  const Folder folder;
  const std::string path = folder.path / "secret";
  REQUIRE(replace_file(path, "before").has_value());
  std::filesystem::create_directories(path + ".new/full");  // no name for the new file
  const auto failed = replace_file(path, "after");
  REQUIRE_FALSE(failed.has_value());
  CHECK(failed.error().code() == Errc::io);
  CHECK(text_in(path) == "before");
  CHECK_FALSE(sync_directory_of((folder.path / "none" / "file").string()).has_value());
}
