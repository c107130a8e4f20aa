// The record of every mutation (audit/event_log.hpp): I4.

#include "audit/event_log.hpp"

#include "storage/catalog/schema.hpp"
#include "tests/unit/storage/sql_fixture.hpp"

namespace stele {
namespace {

using namespace sql_test;
using sql::Tx;

TEST_CASE("events: numbered without gaps, whatever was refused or thrown in between (I4)", "[audit]") {
  TemporaryDirectory directory;
  auto database = sql::open_sqlite(directory / "stele.db").value();
  REQUIRE(fine(catalog::migrate(*database)));
  StoreLatch latch;
  auto writer = std::make_unique<sql::Writer>(*database, latch);
  const audit::Actor actor{Principal("alice"), "request-1"};
  const Digest digest = digest_of("x");
  const auto append = [&](bool keep) {
    return wait_for(writer->write({}, [&](Tx& tx) -> Result<std::int64_t> {
      audit::Event event{"tag.set", "prod/app", "v1", std::nullopt, digest};
      const auto sequence = audit::append(tx, event, actor, {77});
      if (!keep) return Error(Errc::refused_by_policy, "no");
      return sequence;
    }));
  };
  for (std::int64_t expected = 1; expected <= 5; ++expected) {
    CHECK(append(true).value() == expected);
    CHECK_FALSE(append(false).has_value());
  }

  // Never given twice, also when the last are gone and after a restart.
  CHECK(fine(wait_for(writer->write({}, [](Tx& tx) -> Result<std::int64_t> {
    return tx.execute("DELETE FROM events WHERE sequence > 3");
  }))));
  writer.reset();
  database.reset();
  database = sql::open_sqlite(directory / "stele.db").value();
  writer = std::make_unique<sql::Writer>(*database, latch);
  CHECK(append(true).value() == 6);
}

TEST_CASE("events: a row says who did what to what, and through which request", "[audit]") {
  TemporaryDirectory directory;
  const auto database = sql::open_sqlite(directory / "stele.db").value();
  REQUIRE(fine(catalog::migrate(*database)));
  auto& connection = database->writer();
  connection.begin();
  Tx tx(connection);
  const audit::Actor alice{Principal("cert:alice"), "request-1"};
  audit::Event moved{"tag.set", "prod/app", "v1", digest_of("old"), digest_of("new")};
  CHECK(audit::append(tx, moved, alice, {77}) == 1);
  audit::Event pushed{"blob.push", "prod/app", "", std::nullopt, digest_of("blob")};
  CHECK(audit::append(tx, pushed, audit::Actor(), {78}) == 2);
  connection.commit();

  auto row = connection.query(
      "SELECT at, actor, action, repository, tag, old_digest, new_digest, request_id FROM events ORDER BY "
      "sequence");
  REQUIRE(row.next());
  CHECK(row.integer(0) == 77);
  CHECK(row.text(1) == "cert:alice");
  CHECK(row.text(2) == "tag.set");
  CHECK(row.text(3) == "prod/app");
  CHECK(row.text(4) == "v1");
  CHECK(row.text(5) == digest_of("old").str());
  CHECK(row.text(6) == digest_of("new").str());
  CHECK(row.text(7) == "request-1");
  REQUIRE(row.next());
  CHECK(row.text(1) == "system");
  CHECK(row.is_null(4));
  CHECK(row.is_null(5));
  CHECK(row.text(6) == digest_of("blob").str());
  CHECK(row.text(7).empty());
  CHECK_FALSE(row.next());
}

}  // namespace
}  // namespace stele
