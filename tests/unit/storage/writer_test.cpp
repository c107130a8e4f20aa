// Group commit (storage/sql/writer.hpp): I1, I4, I7. Commits and statements fail here as the test says, below
// a real database.

#include <condition_variable>
#include <mutex>
#include <thread>

#include "tests/unit/storage/sql_fixture.hpp"
#include "tests/unit/storage/writer_fixture.hpp"

namespace stele::writer_test {
namespace {

TEST_CASE("writer: waiters learn their result, and what they wrote is there", "[writer]") {
  Fixture fixture;
  const auto done = wait_for(fixture.writer->write({"tag:a"}, [](Tx& tx) -> Result<std::string> {
    add(tx, "a");
    auto row = tx.query("SELECT text FROM notes");
    row.next();
    return std::string(row.text(0));
  }));
  REQUIRE(fine(done));
  CHECK(*done == "a");
  CHECK(fixture.database.rows("notes") == "a ");
}

TEST_CASE("writer: one commit for the batch, a savepoint for each (I4)", "[writer]") {
  Fixture fixture;
  Fixture::Hold hold(*fixture.writer);
  std::vector<Pending<Result<int>>> pending;
  pending.push_back(fixture.write("a"));
  pending.push_back(fixture.refuse("refused"));
  pending.push_back(fixture.write("a"));  // breaks the constraint
  pending.push_back(fixture.writer->write({}, [](Tx& tx) -> Result<int> {
    tx.on_refusal([](Tx& record) { record.execute("INSERT INTO refusals (text) VALUES ('never')"); });
    add(tx, "thrown");
    throw std::runtime_error("a bug above");
  }));
  pending.push_back(fixture.writer->write({}, [](Tx& tx) -> Result<int> {
    add(tx, "unknown");
    throw 7;
  }));
  pending.push_back(fixture.writer->write({}, [](Tx& tx) -> Result<int> {
    add(tx, "damaged");
    throw Failure(Kind::corrupt, "one row");
  }));
  pending.push_back(fixture.writer->write({}, [](Tx& tx) -> Result<int> {
    // A record that cannot be written: the refusal is not given, and half of the record does not stay.
    tx.on_refusal([](Tx& record) {
      record.execute("INSERT INTO refusals (text) VALUES ('half')");
      record.execute("INSERT INTO nowhere (text) VALUES ('half')");
    });
    return Error(Errc::refused_by_policy, "never seen");
  }));
  pending.push_back(fixture.writer->write({}, [](Tx& tx) -> Result<int> {
    // A failure that the closure handles itself.
    try {
      add(tx, "a");
    } catch (const Failure& failure) {
      if (failure.kind() != Kind::constraint) throw;
    }
    add(tx, "z");
    return 26;
  }));
  hold.release();
  std::vector<Result<int>> results;
  for (auto& one : pending) results.push_back(wait_for(std::move(one)));
  CHECK(fine(results[0]));
  CHECK(errc(results[1]) == Errc::refused_by_policy);
  CHECK(results[1].error().message() == "no refused");
  CHECK(errc(results[2]) == Errc::internal);
  CHECK(errc(results[3]) == Errc::internal);
  CHECK(results[3].error().message().find("a bug above") != std::string::npos);
  CHECK(errc(results[4]) == Errc::internal);
  CHECK(errc(results[5]) == Errc::corrupt);
  CHECK(errc(results[6]) == Errc::internal);
  REQUIRE(fine(results[7]));
  CHECK(*results[7] == 26);
  CHECK(fixture.database.rows("notes") == "a z ");
  CHECK(fixture.database.rows("refusals") == "refused ");
  CHECK(fixture.database.connection.begins == 2);
  const auto statistics = fixture.writer->statistics();
  CHECK(statistics.batches == 2);
  CHECK(statistics.writes == 9);
  CHECK(statistics.largest_batch == 8);
  CHECK(statistics.by_size[0] == 1);
  CHECK(statistics.by_size[3] == 1);
  CHECK(statistics.failed_batches == 0);
  CHECK(statistics.queued == 0);
  CHECK(statistics.commit_seconds > 0);
}

TEST_CASE("writer: batches are bounded and in order", "[writer]") {
  Fixture fixture;
  Fixture::Hold hold(*fixture.writer);
  std::vector<Pending<Result<int>>> pending;
  std::vector<int> order;
  for (int i = 0; i < 1000; ++i) {
    pending.push_back(fixture.writer->write({}, [&order, i](Tx& tx) -> Result<int> {
      add(tx, std::to_string(i));
      order.push_back(i);
      return i;
    }));
  }
  CHECK(fixture.writer->statistics().queued == 1000);
  hold.release();
  for (int i = 0; i < 1000; ++i) CHECK(*wait_for(std::move(pending[static_cast<std::size_t>(i)])) == i);
  CHECK(std::is_sorted(order.begin(), order.end()));
  CHECK(order.size() == 1000);
  CHECK(fixture.writer->statistics().largest_batch == 256);
  CHECK(fixture.writer->statistics().batches == 5);
}

TEST_CASE("writer: a commit that fails fails everyone, refusals included (I1, I4)", "[writer]") {
  Fixture fixture;
  const auto [kind, expected] =
      GENERATE(std::pair(Kind::full, Errc::no_space), std::pair(Kind::io, Errc::io),
               std::pair(Kind::other, Errc::internal), std::pair(Kind::corrupt, Errc::corrupt));
  CHECK(fine(wait_for(fixture.write("a"))));
  Fixture::Hold hold(*fixture.writer);
  auto arm = fixture.writer->write({}, [&, failure = kind](Tx& tx) -> Result<int> {
    fixture.database.connection.commit_failures = 1;
    fixture.database.connection.commit_failure = failure;
    add(tx, "armed");
    return 1;
  });
  auto written = fixture.write("b");
  auto refused = fixture.refuse("c");
  auto broken = fixture.write("a");
  hold.release();
  CHECK(errc(wait_for(std::move(arm))) == expected);
  CHECK(errc(wait_for(std::move(written))) == expected);
  CHECK(errc(wait_for(std::move(refused))) == expected);
  CHECK(errc(wait_for(std::move(broken))) == expected);
  CHECK(fixture.database.rows("notes") == "a ");
  CHECK(fixture.database.rows("refusals").empty());
  CHECK(fixture.writer->statistics().failed_batches == 1);
  CHECK_FALSE(fixture.latch.closed());
  // And writes go on.
  CHECK(fine(wait_for(fixture.write("after"))));
  CHECK(fixture.database.rows("notes") == "a after ");
}

TEST_CASE("writer: a failed sync closes the latch; nothing is written after it (I7)", "[writer]") {
  Fixture fixture;
  SECTION("in a commit") {
    auto arm = fixture.writer->write({}, [&](Tx& tx) -> Result<int> {
      fixture.database.connection.commit_failures = 1;
      fixture.database.connection.commit_failure = Kind::sync;
      add(tx, "lost");
      return 1;
    });
    CHECK(errc(wait_for(std::move(arm))) == Errc::read_only);
  }
  SECTION("in a checkpoint, after the answer") {
    fixture.database.connection.maintain_failure = Kind::sync;
    CHECK(fine(wait_for(fixture.write("kept"))));
    while (!fixture.latch.closed()) std::this_thread::yield();
  }
  SECTION("in a closure") {
    auto thrown =
        fixture.writer->write({}, [](Tx&) -> Result<int> { throw Failure(Kind::sync, "a spilled page"); });
    CHECK(errc(wait_for(std::move(thrown))) == Errc::read_only);
  }
  CHECK(fixture.latch.closed());
  CHECK(fixture.latch.reason().find("sync") != std::string::npos);
  const int begins = fixture.database.connection.begins;
  bool ran = false;
  const auto late = wait_for(fixture.writer->write({}, [&](Tx&) -> Result<int> {
    ran = true;
    return 1;
  }));
  CHECK(errc(late) == Errc::read_only);
  CHECK_FALSE(ran);
  CHECK(fixture.database.connection.begins == begins);
  CHECK(fixture.database.rows("notes").find("lost") == std::string::npos);  // reads go on
}

TEST_CASE("writer: a checkpoint that finds no room is no failed write", "[writer]") {
  Fixture fixture;
  fixture.database.connection.maintain_failure = Kind::full;
  CHECK(fine(wait_for(fixture.write("a"))));
  CHECK(fine(wait_for(fixture.write("b"))));
  CHECK_FALSE(fixture.latch.closed());
}

TEST_CASE("writer: a batch runs again after a serialisation failure, and its first run leaves nothing",
          "[writer]") {
  Fixture fixture;
  SECTION("of the commit") {
    int runs = 0;
    bool refuse_first = true;
    Fixture::Hold hold(*fixture.writer);
    auto changed_its_mind = fixture.writer->write({}, [&](Tx& tx) -> Result<int> {
      tx.on_refusal([](Tx& record) { record.execute("INSERT INTO refusals (text) VALUES ('first run')"); });
      if (runs++ < 2) {
        fixture.database.connection.commit_failures = 1;
        fixture.database.connection.commit_failure = Kind::retry;
      }
      if (std::exchange(refuse_first, false)) return Error(Errc::refused_by_policy, "in the first run");
      add(tx, "run");
      return runs;
    });
    auto mate = fixture.write("mate");
    hold.release();
    const auto result = wait_for(std::move(changed_its_mind));
    REQUIRE(fine(result));
    CHECK(*result == 3);
    CHECK(fine(wait_for(std::move(mate))));
    CHECK(fixture.database.rows("notes") == "mate run ");
    CHECK(fixture.database.rows("refusals").empty());
    CHECK(fixture.writer->statistics().batches == 2);
  }
  SECTION("of a statement") {
    int runs = 0;
    auto result = wait_for(fixture.writer->write({}, [&](Tx& tx) -> Result<int> {
      add(tx, "run");
      if (++runs < 4) throw Failure(Kind::retry, "serialisation");
      return runs;
    }));
    REQUIRE(fine(result));
    CHECK(*result == 4);
  }
  SECTION("not for ever") {
    int runs = 0;
    auto result = wait_for(fixture.writer->write({}, [&](Tx&) -> Result<int> {
      ++runs;
      throw Failure(Kind::retry, "serialisation");
    }));
    CHECK(errc(result) == Errc::unavailable);
    CHECK(runs == 8);
    CHECK(fine(wait_for(fixture.write("a"))));
  }
}

TEST_CASE("writer: an engine that gave up the transaction fails the batch", "[writer]") {
  Fixture fixture;
  Fixture::Hold hold(*fixture.writer);
  auto before = fixture.write("a");
  auto breaker = fixture.writer->write({}, [&](Tx& tx) -> Result<int> {
    add(tx, "b");
    fixture.database.connection.rollback();  // as SQLite does by itself when the disk is full
    throw Failure(Kind::other, "out of memory");
  });
  auto after = fixture.write("c");
  hold.release();
  CHECK(errc(wait_for(std::move(before))) == Errc::internal);
  CHECK(errc(wait_for(std::move(breaker))) == Errc::internal);
  CHECK(errc(wait_for(std::move(after))) == Errc::internal);
  CHECK(fixture.database.rows("notes").empty());
  CHECK(fine(wait_for(fixture.write("d"))));
}

TEST_CASE("writer: what was queued is committed before it goes", "[writer]") {
  Fixture fixture;
  std::vector<Pending<Result<int>>> pending;
  for (int i = 0; i < 600; ++i) pending.push_back(fixture.write(std::to_string(i)));
  fixture.writer.reset();
  for (auto& one : pending) CHECK(fine(wait_for(std::move(one))));
}

TEST_CASE("writer: many threads write, each reads what it wrote", "[writer]") {
  TemporaryDirectory directory;
  const auto database = sql::open_sqlite(directory / "stele.db").value();
  database->writer().begin();
  database->writer().run_script("CREATE TABLE notes (text @text@ UNIQUE) @strict@");
  database->writer().commit();
  StoreLatch latch;
  sql::Writer writer(*database, latch);
  std::atomic<int> missing{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 100; ++i) {
        const std::string text = std::to_string(t) + "-" + std::to_string(i);
        const auto written = wait_for(writer.write({}, [&text](Tx& tx) -> Result<int> {
          add(tx, text);
          return 1;
        }));
        const auto seen = database->read([&](sql::Session& session) -> Result<bool> {
          return session.query("SELECT 1 FROM notes WHERE text = $1", text).next();
        });
        if (!written || !seen || !*seen) ++missing;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(missing == 0);
  CHECK(writer.statistics().writes == 800);
  CHECK(writer.statistics().batches <= 800);
}

}  // namespace
}  // namespace stele::writer_test
