#pragma once
// Group commit: one thread takes whatever closures wait, runs each in a SAVEPOINT of one transaction, commits
// once, and only then completes their waiters (I1, I4).

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/pending.hpp"
#include "storage/sql/database.hpp"
#include "storage/store_latch.hpp"

namespace stele::sql {

// The session inside a write closure.
class Tx final : public Session {
 public:
  explicit Tx(WriteConnection& connection) : connection_(connection) {}

  // For the record of a refusal: runs after this closure's savepoint was rolled back because it returned an
  // Error, inside the same transaction, committed before the waiter learns of the refusal. Not run when the
  // closure succeeds.
  void on_refusal(std::function<void(Tx&)> record) { on_refusal_ = std::move(record); }

  // For what a closure changes outside the catalog and later closures decide by. Runs on the writer's thread,
  // once: true when the closure's transaction is committed, before any waiter goes on; false when the closure
  // or its batch is rolled back, before any other closure runs. Must not throw.
  void on_end(std::function<void(bool committed)> end) { on_end_ = std::move(end); }

 private:
  friend class Writer;
  Statement& statement(std::string_view sql) override;
  std::int64_t changes(std::string_view sql) override;
  WriteConnection& connection_;
  std::function<void(Tx&)> on_refusal_;
  std::function<void(bool)> on_end_;
};

// What a closure decides on ("tag:prod/app:1.0", "digest:sha256:…"): engines with concurrent writers lock
// these.
using Keys = std::vector<std::string>;

struct WriterStatistics {
  std::uint64_t batches = 0;
  std::uint64_t writes = 0;
  std::uint64_t failed_batches = 0;
  std::uint64_t largest_batch = 0;
  // Batches by size: 1, 2–3, 4–7, 8–15, …, ≥ 512.
  std::array<std::uint64_t, 10> by_size{};
  double commit_seconds = 0;  // sum over batches
  std::size_t queued = 0;
};

// Thread-safe. The destructor commits what was queued, then joins.
class Writer {
 public:
  Writer(Database& database, StoreLatch& latch);
  ~Writer();

  // `closure` is `Result<T>(Tx&)`. It runs on the writer thread, perhaps more than once, so it keeps no state
  // between runs, never blocks and does no I/O of its own. An Error rolls back this closure alone. A batch
  // that cannot be committed fails all of its closures with no_space or io; a failed sync closes the latch
  // (read_only).
  template <class F>
  auto write(Keys keys, F closure) -> Pending<std::invoke_result_t<F&, Tx&>> {
    using R = std::invoke_result_t<F&, Tx&>;
    struct Job final : Write {
      explicit Job(F body) : closure(std::move(body)) {}
      F closure;
      std::optional<R> outcome;
      Completion<R> completion;
      bool run(Tx& tx) override {
        outcome.emplace(closure(tx));
        return outcome->has_value();
      }
      void finish() override { completion.set(std::move(*outcome)); }
      void fail(const Error& error) override { completion.set(R(error)); }
    };
    auto job = std::make_unique<Job>(std::move(closure));
    auto pending = job->completion.pending();
    job->keys = std::move(keys);
    enqueue(std::move(job));
    return pending;
  }

  WriterStatistics statistics() const;

 private:
  struct Write {
    virtual ~Write() = default;
    virtual bool run(Tx&) = 0;  // false: roll back to the savepoint
    virtual void finish() = 0;
    virtual void fail(const Error&) = 0;
    Keys keys;
  };
  void enqueue(std::unique_ptr<Write>);
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace stele::sql
