#pragma once
// A catalog with manifests and a record of pulls, in a directory that is opened again and again.

#include <fstream>

#include "gc/write_now.hpp"
#include "registry/pull_times.hpp"
#include "tests/support/registry_fixture.hpp"

namespace stele::pulls_test {

inline std::string image(int number) {
  return R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":)"
         R"({"mediaType":"a/b","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",)"
         R"("size":2},"layers":[],"annotations":{"number":")" +
         std::to_string(number) + R"("}})";
}

struct PullsFixture {
  static constexpr std::int64_t tick = PullTable::tick_microseconds;
  static constexpr std::size_t words = 8 * PullTable::block_words;

  explicit PullsFixture(std::string directory = {}) {
    if (directory.empty()) directory = own_directory.emplace().path;
    path = directory;
    open();
  }
  ~PullsFixture() { crash(); }

  std::string file() const { return path + "/pulls"; }

  void open(const std::string& boot = "boot-1") {
    database = sql::open_sqlite(path + "/stele.db", {}).value();
    REQUIRE(catalog::migrate(*database).has_value());
    latch.emplace();
    writer = std::make_unique<sql::Writer>(*database, *latch);
    auto opened = PullTimes::open({file_used ? file() : "/nowhere/at/all/pulls", words, boot}, *database,
                                  *writer, clock);
    REQUIRE(opened.has_value());
    pulls = std::move(*opened);
  }
  // Ends without closing the file, as a process that is killed does.
  void crash() {
    pulls.reset();
    writer.reset();
    database.reset();
  }
  void crash_and_open(const std::string& boot = "boot-1") {
    crash();
    open(boot);
  }

  void write(const std::function<void(sql::Tx&)>& body) {
    const auto written = gc::write_now(*writer, {}, [&](sql::Tx& tx) -> Result<void> {
      body(tx);
      return {};
    });
    REQUIRE(written.has_value());
  }
  std::vector<catalog::ManifestId> add_manifests(const std::string& repository, int count) {
    std::vector<catalog::ManifestId> ids;
    write([&](sql::Tx& tx) {
      ids.clear();
      const auto in = catalog::ensure_repository(tx, RepositoryName::parse(repository).value(), clock.now());
      for (int n = 0; n < count; ++n) {
        const std::string bytes = image(n);
        const Manifest manifest = Manifest::parse("", bytes).value();
        const Digest digest = Digest::of(DigestAlgorithm::sha256, bytes);
        ids.push_back(catalog::insert_manifest(tx, in, {manifest, digest, bytes}, clock.now(), "tester"));
      }
    });
    return ids;
  }
  void pull(catalog::ManifestId id) { pulls->record(id, clock.now()); }
  PullTimes::Flush flush(std::size_t limit = PullTimes::default_flush) {
    const auto flushed = pulls->flush(limit);
    REQUIRE(flushed.has_value());
    return *flushed;
  }
  void close() { REQUIRE(pulls->close().has_value()); }

  template <class F>
  auto read(F f) {
    using R = std::invoke_result_t<F, sql::Session&>;
    return database->read([&](sql::Session& session) -> Result<R> { return f(session); }).value();
  }
  std::optional<Timestamp> known(catalog::ManifestId id) {
    return read([&](sql::Session& session) { return pulls->pulled_at(session, id); });
  }
  std::optional<Timestamp> in_catalog(catalog::ManifestId id) {
    return read([&](sql::Session& session) { return catalog::pulled_at(session, id); });
  }

  SettableClock clock;  // begins on a whole ten minutes
  bool file_used = true;
  std::optional<StoreLatch> latch;
  std::string path;
  std::unique_ptr<sql::Database> database;
  std::unique_ptr<sql::Writer> writer;
  std::unique_ptr<PullTimes> pulls;
  std::optional<TestDirectory> own_directory;
};

}  // namespace stele::pulls_test
