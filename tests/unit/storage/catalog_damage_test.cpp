// I6: a damaged row is an error, never a wrong answer.

#include <iostream>

#include "tests/support/effort.hpp"
#include "tests/unit/storage/catalog_fixture.hpp"

namespace stele {
namespace {

using namespace sql_test;
using catalog::Session;
using catalog::Tx;

const RepositoryName app = parsed<RepositoryName>("prod/app");

void make_catalog(const std::string& path, int tags) {
  const auto database = sql::open_sqlite(path).value();
  REQUIRE(fine(catalog::migrate(*database)));
  auto& connection = database->writer();
  connection.begin();
  Tx tx(connection);
  const auto repository = catalog::ensure_repository(tx, app, {1});
  for (int i = 0; i < tags; ++i) {
    const std::string bytes = image(std::to_string(i));
    const auto id = insert(tx, repository, bytes);
    catalog::set_tag(tx, repository, app,
                     {parsed<Tag>("v" + std::to_string(i)), id, digest_of(bytes), {2}, "alice"});
  }
  connection.commit();
}

struct Answers {
  int right = 0;
  int refused = 0;
  int absent = 0;
  int wrong = 0;
};

void ask(const std::string& path, int tags, Answers& answers) {
  const auto count = [&](const Result<std::optional<catalog::StoredManifest>>& found,
                         const std::string& bytes) {
    if (!found) {
      ++answers.refused;
    } else if (!*found) {
      ++answers.absent;
    } else if ((*found)->bytes == bytes && (*found)->digest == digest_of(bytes) &&
               (*found)->media_type == "application/vnd.oci.image.manifest.v1+json") {
      ++answers.right;
    } else {
      ++answers.wrong;
    }
  };
  const auto database = sql::open_sqlite(path);
  if (!database) {
    answers.refused += 2 * tags;
    return;
  }
  for (int i = 0; i < tags; ++i) {
    const std::string bytes = image(std::to_string(i));
    count((*database)->read([&](Session& session) {
      return catalog::manifest_by_tag(session, app, parsed<Tag>("v" + std::to_string(i)));
    }),
          bytes);
    count((*database)->read(
              [&](Session& session) { return catalog::manifest_by_digest(session, app, digest_of(bytes)); }),
          bytes);
  }
}

TEST_CASE("catalog: a changed tag or manifest row is found (I6)", "[catalog]") {
  TemporaryDirectory directory;
  const std::string path = directory / "stele.db";
  make_catalog(path, 2);
  // Each as an editor of the database, or a bit of the disk, could do it.
  const std::string other = digest_of(image("1")).str();
  const auto [sql, by_tag, by_digest, in_write] = GENERATE_COPY(table<std::string, bool, bool, bool>({
      {"UPDATE tags SET manifest_id = (SELECT manifest_id FROM tags WHERE name = 'v1') WHERE name = 'v0'",
       true, false, false},
      {"UPDATE tags SET checksum = checksum + 1 WHERE name = 'v0'", true, false, false},
      {"UPDATE tags SET checksum = (SELECT checksum FROM tags WHERE name = 'v1') WHERE name = 'v0'", true,
       false, false},
      {"UPDATE tags SET name = 'v7' WHERE name = 'v0'; UPDATE tags SET name = 'v0' WHERE name = 'v1'", true,
       false, false},
      {"UPDATE manifests SET bytes = x'7b7d' WHERE id = 1", true, true, false},
      {"UPDATE manifests SET bytes = x'' WHERE id = 1", true, true, false},
      {"UPDATE manifests SET bytes = (SELECT bytes FROM manifests WHERE id = 2) WHERE id = 1", true, true,
       false},
      {"UPDATE manifests SET media_type = 'text/plain' WHERE id = 1", true, true, true},
      {"UPDATE manifests SET checksum = 0 WHERE id = 1", true, true, true},
      // The other manifest under this one's digest, complete in itself but for the digest.
      {"UPDATE manifests SET bytes = (SELECT bytes FROM manifests WHERE id = 2), checksum = (SELECT checksum "
       "FROM manifests "
       "WHERE id = 2) WHERE id = 1",
       true, true, true},
  }));
  INFO(sql);
  const auto database = sql::open_sqlite(path).value();
  database->writer().begin();
  database->writer().run_script(sql);
  database->writer().commit();
  database->committed();
  const Digest digest = digest_of(image("0"));
  const auto tagged = database->read(
      [&](Session& session) { return catalog::manifest_by_tag(session, app, parsed<Tag>("v0")); });
  CHECK(tagged.has_value() != by_tag);
  if (!tagged) CHECK(errc(tagged) == Errc::corrupt);
  const auto digested =
      database->read([&](Session& session) { return catalog::manifest_by_digest(session, app, digest); });
  CHECK(digested.has_value() != by_digest);
  if (!digested) CHECK(errc(digested) == Errc::corrupt);
  const auto found = database->read([&](Session& session) -> Result<bool> {
    const auto repository = catalog::find_repository(session, app).value();
    return catalog::find_manifest(session, repository, digest).has_value();
  });
  CHECK(found.has_value() != in_write);
  if (by_tag && !by_digest) {
    const auto bound = database->read([&](Session& session) {
      return catalog::find_tag(session, catalog::find_repository(session, app).value(), app,
                               parsed<Tag>("v0"));
    });
    CHECK(errc(bound) == Errc::corrupt);
  }
}

TEST_CASE("catalog: any flipped bit of the file may cost an answer, never make a wrong one (I6)",
          "[catalog][faults]") {
  constexpr int tags = 3;
  TemporaryDirectory directory;
  const std::string path = directory / "stele.db";
  make_catalog(path, tags);
  const std::string sound = read_file(path);
  Answers answers;
  int flips = 0;
  for (std::size_t at = 0; at < sound.size(); at += std::size_t{29} * test_every()) {
    if (sound[at] == 0 && at % 4 != 0) continue;  // mostly free space
    std::string damaged = sound;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << (at % 8)));
    INFO(at);
    write_file(path, damaged);
    ask(path, tags, answers);
    CHECK(answers.wrong == 0);
    ++flips;
  }
  std::cout << "catalog: " << flips << " flipped bits: " << answers.right << " answers right, "
            << answers.refused << " refused, " << answers.absent << " absent, " << answers.wrong
            << " wrong\n";
  CHECK(answers.refused > 0);
}

}  // namespace
}  // namespace stele
