#pragma once
// A writer below which commits and statements fail as the test says.

#include <condition_variable>
#include <mutex>
#include <thread>

#include "tests/unit/storage/sql_fixture.hpp"

namespace stele::writer_test {

using namespace sql_test;
using sql::Failure;
using sql::Tx;
using Kind = sql::Failure::Kind;

class FaultyConnection final : public ForwardingConnection {
 public:
  using ForwardingConnection::ForwardingConnection;
  void begin() override {
    ++begins;
    ForwardingConnection::begin();
  }
  void commit() override {
    if (commit_failures > 0) {
      --commit_failures;
      throw Failure(commit_failure, "the test's commit");
    }
    ForwardingConnection::commit();
  }
  void maintain() override {
    if (maintain_failure) throw Failure(*maintain_failure, "the test's checkpoint");
    ForwardingConnection::maintain();
  }
  int begins = 0;
  int commit_failures = 0;
  Kind commit_failure = Kind::io;
  std::optional<Kind> maintain_failure;
};

class FaultyDatabase final : public sql::Database {
 public:
  explicit FaultyDatabase(const std::string& path)
      : inner_(sql::open_sqlite(path).value()), connection(inner_->writer()) {
    auto& writer = inner_->writer();
    writer.begin();
    writer.run_script(
        "CREATE TABLE notes (text @text@ UNIQUE) @strict@; CREATE TABLE refusals (text @text@) @strict@;");
    writer.commit();
    committed();
  }
  void renew_kept_snapshot() noexcept override { inner_->renew_kept_snapshot(); }
  void release_kept_snapshot() noexcept override { inner_->release_kept_snapshot(); }
  void committed() noexcept override { inner_->committed(); }
  sql::WriteConnection& writer() override { return connection; }
  Result<void> copy_to(const std::string& path, const std::stop_token& stop) override {
    return inner_->copy_to(path, stop);
  }
  std::uint64_t size_bytes() const override { return inner_->size_bytes(); }

  std::string rows(const std::string& table) {
    return inner_
        ->read([&](sql::Session& session) -> Result<std::string> {
          std::string all;
          auto rows = session.query("SELECT text FROM " + table + " ORDER BY text");
          while (rows.next()) all += std::string(rows.text(0)) + " ";
          return all;
        })
        .value();
  }

 protected:
  sql::Session& begin_read() override { throw std::logic_error("tests read the inner database"); }
  void end_read() noexcept override {}

 private:
  std::unique_ptr<sql::Database> inner_;

 public:
  FaultyConnection connection;
};

inline void add(Tx& tx, std::string_view text) {
  tx.execute("INSERT INTO notes (text) VALUES ($1)", text);
}

struct Fixture {
  TemporaryDirectory directory;
  FaultyDatabase database{directory / "stele.db"};
  StoreLatch latch;
  std::unique_ptr<sql::Writer> writer = std::make_unique<sql::Writer>(database, latch);

  // Holds the writer's thread in a closure until the scope ends, so that what is written meanwhile is one
  // batch.
  class Hold {
   public:
    explicit Hold(sql::Writer& writer)
        : pending_(writer.write({}, [this](Tx&) -> Result<void> {
            std::unique_lock lock(mutex_);
            entered_ = true;
            changed_.notify_all();
            changed_.wait(lock, [&] { return released_; });
            return {};
          })) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return entered_; });
    }
    void release() {
      {
        const std::lock_guard lock(mutex_);
        released_ = true;
        changed_.notify_all();
      }
      REQUIRE(fine(wait_for(std::move(pending_))));
    }

   private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool entered_ = false;
    bool released_ = false;
    Pending<Result<void>> pending_;
  };

  auto write(std::string text) {
    return writer->write({}, [text = std::move(text)](Tx& tx) -> Result<int> {
      add(tx, text);
      return 1;
    });
  }
  // Writes and then returns an Error; its record stays.
  auto refuse(std::string text) {
    return writer->write({}, [text = std::move(text)](Tx& tx) -> Result<int> {
      tx.on_refusal([text](Tx& record) { record.execute("INSERT INTO refusals (text) VALUES ($1)", text); });
      add(tx, text);
      return Error(Errc::refused_by_policy, "no " + text);
    });
  }
};

}  // namespace stele::writer_test
