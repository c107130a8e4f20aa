#pragma once
// Manifests to push, and a look at everything that the catalog holds.

#include <sqlite3.h>

#include <string>
#include <vector>

#include "storage/catalog/catalog.hpp"
#include "storage/catalog/schema.hpp"
#include "tests/unit/storage/sql_fixture.hpp"

namespace stele::sql_test {

inline std::string descriptor(std::string_view type, const Digest& digest) {
  return R"({"mediaType":")" + std::string(type) + R"(","digest":")" + digest.str() + R"(","size":7})";
}

// An image of one layer. `note` makes it, and its layer, different from others.
inline std::string image(const std::string& note, const std::optional<Digest>& subject = {},
                         const std::string& artifact_type = {}) {
  std::string text = R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",)";
  if (!artifact_type.empty()) text += R"("artifactType":")" + artifact_type + R"(",)";
  text += R"("config":)" +
          descriptor("application/vnd.oci.image.config.v1+json", digest_of("config " + note)) +
          R"(,"layers":[)" +
          descriptor("application/vnd.oci.image.layer.v1.tar", digest_of("layer " + note)) + "]";
  if (subject) text += R"(,"subject":)" + descriptor("application/vnd.oci.image.manifest.v1+json", *subject);
  return text + R"(,"annotations":{"note":")" + note + R"("}})";
}

inline std::string index_of(const std::vector<Digest>& entries) {
  std::string text =
      R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[)";
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (i > 0) text += ',';
    text += descriptor("application/vnd.oci.image.manifest.v1+json", entries[i]);
  }
  return text + "]}";
}

inline catalog::ManifestId insert(catalog::Tx& tx, catalog::RepositoryId repository, const std::string& bytes,
                                  Timestamp now = {1000}) {
  const auto manifest = Manifest::parse("", bytes).value();
  const Digest digest = digest_of(bytes);
  return catalog::insert_manifest(tx, repository, {manifest, digest, bytes}, now, "alice");
}

// Every row of every table of the file, as text, and the result of integrity_check before them. Recovers the
// log as any program that opens the file would.
inline std::string all_rows(const std::string& path) {
  sqlite3* db = nullptr;
  REQUIRE(sqlite3_open_v2(path.c_str(), &db, SQLITE_OPEN_READWRITE, nullptr) == SQLITE_OK);
  std::string text;
  const auto append = [](void* out, int columns, char** values, char**) {
    for (int i = 0; i < columns; ++i)
      *static_cast<std::string*>(out) += std::string(values[i] ? values[i] : "-") + "|";
    *static_cast<std::string*>(out) += '\n';
    return 0;
  };
  std::string tables;
  char* error = nullptr;
  const bool read = sqlite3_exec(db, "PRAGMA integrity_check(1)", append, &text, nullptr) == SQLITE_OK &&
                    sqlite3_exec(db, "PRAGMA foreign_key_check", append, &text, nullptr) == SQLITE_OK &&
                    sqlite3_exec(db, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name",
                                 append, &tables, nullptr) == SQLITE_OK;
  if (!read) text += sqlite3_errmsg(db);
  for (std::size_t from = 0; from < tables.size();) {
    const std::size_t to = tables.find('|', from);
    const std::string table = tables.substr(from, to - from);
    from = to + 2;
    text += "[" + table + "]\n";
    if (sqlite3_exec(db, ("SELECT * FROM " + table + " ORDER BY 1, 2").c_str(), append, &text, &error) !=
        SQLITE_OK) {
      text += error;
    }
  }
  sqlite3_free(error);
  sqlite3_close(db);
  return text;
}

}  // namespace stele::sql_test
