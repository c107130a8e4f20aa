#pragma once
// Damage done by hand: to the files of blobs, and to the catalog behind its back.

#include <sqlite3.h>

#include <filesystem>
#include <fstream>

#include "tests/unit/gc/settled_fixture.hpp"

namespace stele::gc_test {

inline std::filesystem::path file_of(const RegistryFixture& fixture, const Digest& digest) {
  return fixture.path + "/blobs/" + std::string(to_string(digest.algorithm())) + "/" +
         std::string(digest.hex().substr(0, 2)) + "/" + std::string(digest.hex());
}
inline std::filesystem::path file_aside(const RegistryFixture& fixture, const Digest& digest) {
  return fixture.path + "/quarantine/" + std::string(to_string(digest.algorithm())) + "/" +
         std::string(digest.hex());
}

inline void overwrite(const std::filesystem::path& file, const std::string& bytes) {
  std::filesystem::permissions(file, std::filesystem::perms::owner_all);
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  out << bytes;
  REQUIRE(out.good());
}
// Another byte at the end.
inline void flip(const RegistryFixture& fixture, const Digest& digest, std::string content) {
  content.back() = static_cast<char>(content.back() ^ 1);
  overwrite(file_of(fixture, digest), content);
}
inline void cut(const RegistryFixture& fixture, const Digest& digest) {
  std::filesystem::resize_file(file_of(fixture, digest),
                               std::filesystem::file_size(file_of(fixture, digest)) - 1);
}
inline void lose(const RegistryFixture& fixture, const Digest& digest) {
  REQUIRE(std::filesystem::remove(file_of(fixture, digest)));
}

// On a connection that knows no foreign keys; at least one row must change.
inline void damage_rows(const RegistryFixture& fixture, const std::string& sql) {
  sqlite3* connection = nullptr;
  REQUIRE(sqlite3_open((fixture.path + "/stele.db").c_str(), &connection) == SQLITE_OK);
  sqlite3_busy_timeout(connection, 5000);
  INFO(sql);
  CHECK(sqlite3_exec(connection, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
  CHECK(sqlite3_changes(connection) > 0);
  // The server's writer is the only one that may checkpoint.
  sqlite3_db_config(connection, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  sqlite3_close(connection);
}

}  // namespace stele::gc_test
