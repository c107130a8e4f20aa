#pragma once
// A catalog with one repository.

#include <memory>
#include <string>

#include "tests/unit/storage/catalog_fixture.hpp"

namespace stele::sql_test {

struct OneRepository {
  TemporaryDirectory directory;
  std::unique_ptr<sql::Database> database = sql::open_sqlite(directory / "stele.db").value();
  StoreLatch latch;
  std::unique_ptr<sql::Writer> writer;
  RepositoryName name = parsed<RepositoryName>("prod/app");
  catalog::RepositoryId repository{};

  OneRepository() {
    REQUIRE(fine(catalog::migrate(*database)));
    writer = std::make_unique<sql::Writer>(*database, latch);
    write([&](sql::Tx& tx) { repository = catalog::ensure_repository(tx, name, {1}); });
  }
  template <class F>
  void write(F f) {
    REQUIRE(fine(wait_for(writer->write({}, [&f](sql::Tx& tx) -> Result<void> {
      f(tx);
      return {};
    }))));
  }
  template <class F>
  auto read(F f) {
    using T = std::invoke_result_t<F&, sql::Session&>;
    return database->read([&f](sql::Session& session) -> Result<T> { return f(session); }).value();
  }
  Digest push(const std::string& bytes, const std::string& tag = {}) {
    const Digest digest = digest_of(bytes);
    write([&](sql::Tx& tx) {
      const auto id = insert(tx, repository, bytes);
      if (!tag.empty())
        catalog::set_tag(tx, repository, name, {parsed<Tag>(tag), id, digest, {2000}, "alice"});
    });
    return digest;
  }
};

}  // namespace stele::sql_test
