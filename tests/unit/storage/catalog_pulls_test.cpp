// When manifests were pulled (storage/catalog/pulls.hpp).

#include "storage/catalog/pulls.hpp"

#include <map>

#include "tests/unit/storage/catalog_fixture.hpp"

namespace stele {
namespace {

using namespace sql_test;

struct PullsInCatalog {
  TemporaryDirectory directory;
  std::unique_ptr<sql::Database> database = sql::open_sqlite(directory / "stele.db").value();
  StoreLatch latch;
  std::unique_ptr<sql::Writer> writer;
  catalog::RepositoryId repository{};

  PullsInCatalog() {
    REQUIRE(fine(catalog::migrate(*database)));
    writer = std::make_unique<sql::Writer>(*database, latch);
    write([&](catalog::Tx& tx) {
      repository = catalog::ensure_repository(tx, parsed<RepositoryName>("prod/app"), {1});
    });
  }
  void write(const std::function<void(catalog::Tx&)>& body) {
    REQUIRE(fine(wait_for(writer->write({}, [&](catalog::Tx& tx) -> Result<void> {
      body(tx);
      return {};
    }))));
  }
  catalog::ManifestId manifest(const std::string& note) {
    catalog::ManifestId id{};
    write([&](catalog::Tx& tx) { id = insert(tx, repository, image(note)); });
    return id;
  }
  template <class F>
  auto read(F f) {
    using R = std::invoke_result_t<F, sql::Session&>;
    return database->read([&](sql::Session& session) -> Result<R> { return f(session); }).value();
  }
  std::optional<Timestamp> pulled(catalog::ManifestId id) {
    return read([&](sql::Session& session) { return catalog::pulled_at(session, id); });
  }
};

TEST_CASE("catalog: the time of a pull only ever goes up", "[catalog]") {
  PullsInCatalog at;
  const auto one = at.manifest("one");
  CHECK_FALSE(at.pulled(one));
  using ToldAndKept = std::pair<int, int>;
  for (const auto& [told, kept] :
       {ToldAndKept(50, 50), ToldAndKept(40, 50), ToldAndKept(50, 50), ToldAndKept(60, 60)}) {
    at.write([&](catalog::Tx& tx) { catalog::raise_pulled_at(tx, one, {told}); });
    CHECK(at.pulled(one) == Timestamp{kept});
  }
}

TEST_CASE("catalog: a pull of a manifest that is gone is dropped, and one goes with its manifest",
          "[catalog]") {
  PullsInCatalog at;
  const auto one = at.manifest("one");
  at.write([&](catalog::Tx& tx) {
    catalog::raise_pulled_at(tx, catalog::ManifestId(4711), {9});
    catalog::raise_pulled_at(tx, one, {9});
  });
  CHECK_FALSE(at.pulled(catalog::ManifestId(4711)));
  at.write([&](catalog::Tx& tx) { catalog::delete_manifest(tx, one, {9}); });
  CHECK_FALSE(at.pulled(one));
}

TEST_CASE("catalog: all manifests of one repository, pulled or not, and no other's", "[catalog]") {
  PullsInCatalog at;
  const auto one = at.manifest("one"), two = at.manifest("two");
  at.write([&](catalog::Tx& tx) {
    const auto other = catalog::ensure_repository(tx, parsed<RepositoryName>("other"), {1});
    catalog::raise_pulled_at(tx, insert(tx, other, image("three")), {7});
    catalog::raise_pulled_at(tx, two, {8});
  });
  std::map<catalog::ManifestId, std::optional<Timestamp>> found;
  at.read([&](sql::Session& session) {
    catalog::visit_pulls(
        session, at.repository,
        [&](catalog::ManifestId id, std::optional<Timestamp> pulled) { found[id] = pulled; });
    return 0;
  });
  CHECK(found ==
        std::map<catalog::ManifestId, std::optional<Timestamp>>{{one, std::nullopt}, {two, Timestamp{8}}});
}

TEST_CASE("catalog: which file of pulls belongs to it, and what cannot be read is absent", "[catalog]") {
  PullsInCatalog at;
  const auto record = [&] { return at.read([](sql::Session& s) { return catalog::stored_pull_record(s); }); };
  const auto since = [&] { return at.read([](sql::Session& s) { return catalog::stored_pulls_since(s); }); };
  CHECK_FALSE(record());
  CHECK_FALSE(since());
  at.write([](catalog::Tx& tx) { catalog::store_pull_record(tx, {"abc", 7}, Timestamp{9}); });
  CHECK(record() == catalog::PullRecord{"abc", 7});
  CHECK(since() == Timestamp{9});
  at.write([](catalog::Tx& tx) { catalog::store_pull_record(tx, {"abc", 8}, std::nullopt); });
  CHECK(record() == catalog::PullRecord{"abc", 8});
  CHECK(since() == Timestamp{9});
  for (const char* odd : {"", "abc", "abc ", "abc x", "abc 1x", "abc -1"}) {
    INFO(odd);
    at.write([&](catalog::Tx& tx) {
      tx.execute("UPDATE meta SET value = $1 WHERE key IN ('pulls_file', 'pulls_since')", odd);
    });
    CHECK_FALSE(record());
    CHECK_FALSE(since());
  }
}

}  // namespace
}  // namespace stele
