#include "storage/sql/writer.hpp"

#include <pthread.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

namespace stele::sql {

Statement& Tx::statement(std::string_view sql) {
  return connection_.statement(sql);
}
std::int64_t Tx::changes(std::string_view sql) {
  return connection_.changes(sql);
}

struct Writer::Impl {
  // Enough that the commit's cost per write vanishes, small enough that the first of a batch does not wait
  // for long.
  static constexpr std::size_t largest_batch = 256;
  // A serialisation failure goes away when it is tried again; one that does not is reported.
  static constexpr int attempts = 8;

  Database& database;
  StoreLatch& latch;
  WriteConnection& connection;
  mutable std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::unique_ptr<Write>> queue;
  bool stopping = false;
  WriterStatistics statistics;
  std::vector<std::function<void(bool)>> ends;  // of the batch at work; only the thread's own
  std::thread thread;

  Impl(Database& db, StoreLatch& store_latch) : database(db), latch(store_latch), connection(db.writer()) {}

  // What became of one closure in this run of its batch. `error` is set when the closure has no outcome of
  // its own.
  struct Ran {
    std::optional<Error> error;
  };

  void run() {
    std::unique_lock lock(mutex);
    for (;;) {
      changed.wait(lock, [&] { return stopping || !queue.empty(); });
      if (queue.empty()) return;
      std::vector<std::unique_ptr<Write>> batch;
      const std::size_t size = std::min(queue.size(), largest_batch);
      std::move(queue.begin(), queue.begin() + static_cast<std::ptrdiff_t>(size), std::back_inserter(batch));
      queue.erase(queue.begin(), queue.begin() + static_cast<std::ptrdiff_t>(size));
      lock.unlock();
      process(batch);
      batch.clear();  // closures release what they hold before the lock is taken again
      maintain();
      lock.lock();
    }
  }

  void process(std::vector<std::unique_ptr<Write>>& batch) {
    if (const auto open = latch.check(); !open) return fail(batch, open.error());
    for (int attempt = 1;; ++attempt) {
      try {
        const std::vector<Ran> ran = run_and_commit(batch);
        return complete(batch, ran);
      } catch (const Failure& failure) {
        connection.rollback();
        end_batch(false);
        if (failure.kind() == Failure::Kind::retry && attempt < attempts) continue;
        if (failure.kind() == Failure::Kind::sync)
          latch.close(std::string("a failed sync of the catalog: ") + failure.what());
        return fail(batch, failure.to_error());
      } catch (const std::exception& exception) {  // a bug in the driver, or no memory
        connection.rollback();
        end_batch(false);
        return fail(batch, Error(Errc::internal, std::string("the write failed: ") + exception.what()));
      }
    }
  }

  // Throws when nothing of the batch is committed.
  std::vector<Ran> run_and_commit(std::vector<std::unique_ptr<Write>>& batch) {
    std::vector<Ran> ran;
    ran.reserve(batch.size());
    connection.begin();
    for (const auto& write : batch) ran.push_back(run_one(*write));
    const auto before = std::chrono::steady_clock::now();
    connection.commit();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - before;
    end_batch(true);
    database.committed();  // before any waiter goes on: it must read what it wrote
    count(batch.size(), took.count());
    return ran;
  }

  void complete(std::vector<std::unique_ptr<Write>>& batch, const std::vector<Ran>& ran) noexcept {
    for (std::size_t i = 0; i < batch.size(); ++i) {
      if (ran[i].error) {
        batch[i]->fail(*ran[i].error);
      } else {
        batch[i]->finish();
      }
    }
  }

  // What was done last is undone first.
  void end_batch(bool committed) noexcept {
    if (committed) {
      for (const auto& end : ends) end(true);
    } else {
      for (auto end = ends.rbegin(); end != ends.rend(); ++end) (*end)(false);
    }
    ends.clear();
  }

  static void undo(Tx& tx) noexcept {
    if (const auto end = std::exchange(tx.on_end_, {})) end(false);
  }

  // Throws when the whole batch has to be given up or run again.
  Ran run_one(Write& write) {
    Tx tx(connection);
    connection.savepoint();
    Ran ran;
    try {
      if (write.run(tx)) {
        connection.release_savepoint();
        if (tx.on_end_) ends.push_back(std::move(tx.on_end_));
        return ran;
      }
    } catch (const std::exception& exception) {
      undo(tx);
      ran.error = only_this_one(exception);
    } catch (...) {
      ran.error = Error(Errc::internal, "the write failed with an unknown exception");
    }
    undo(tx);
    connection.rollback_to_savepoint();
    if (!ran.error && tx.on_refusal_) ran.error = record_refusal(tx);
    return ran;
  }

  // The refusal's record is all there or the refusal is not given (I4).
  std::optional<Error> record_refusal(Tx& tx) {
    connection.savepoint();
    try {
      const auto record = std::move(tx.on_refusal_);
      record(tx);
      connection.release_savepoint();
      return std::nullopt;
    } catch (const std::exception& exception) {
      Error error = only_this_one(exception);
      connection.rollback_to_savepoint();
      return error;
    }
  }

  // Called inside a handler for `exception`: the error of the closure that threw it, or the exception goes on
  // because the engine's transaction is gone or can no longer be trusted.
  Error only_this_one(const std::exception& exception) {
    const auto* failure = dynamic_cast<const Failure*>(&exception);
    if (!failure) return Error(Errc::internal, std::string("the write failed: ") + exception.what());
    switch (failure->kind()) {
      case Failure::Kind::full:
      case Failure::Kind::io:
      case Failure::Kind::sync:
      case Failure::Kind::retry:
        throw;
      case Failure::Kind::corrupt:
      case Failure::Kind::constraint:
      case Failure::Kind::other:
        break;
    }
    if (!connection.in_transaction()) throw;
    return failure->to_error();
  }

  void fail(std::vector<std::unique_ptr<Write>>& batch, const Error& error) {
    {
      const std::lock_guard lock(mutex);
      ++statistics.failed_batches;
    }
    for (const auto& write : batch) write->fail(error);
  }

  void count(std::size_t size, double seconds) {
    const std::lock_guard lock(mutex);
    ++statistics.batches;
    statistics.writes += size;
    statistics.largest_batch = std::max<std::uint64_t>(statistics.largest_batch, size);
    const auto bucket = static_cast<std::size_t>(std::bit_width(size)) - 1;
    ++statistics.by_size[std::min(bucket, statistics.by_size.size() - 1)];
    statistics.commit_seconds += seconds;
  }

  void maintain() {
    if (latch.closed()) return;
    try {
      connection.maintain();
    } catch (const Failure& failure) {
      // Anything but a failed sync leaves the log as it was and shows itself again at the next write.
      if (failure.kind() == Failure::Kind::sync)
        latch.close(std::string("a failed sync of the catalog: ") + failure.what());
    }
  }
};

Writer::Writer(Database& database, StoreLatch& latch) : impl_(std::make_unique<Impl>(database, latch)) {
  impl_->thread = std::thread([impl = impl_.get()] { impl->run(); });
  pthread_setname_np(impl_->thread.native_handle(), "stele-writer");
}

Writer::~Writer() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
  }
  impl_->changed.notify_one();
  impl_->thread.join();
}

void Writer::enqueue(std::unique_ptr<Write> write) {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->queue.push_back(std::move(write));
  }
  impl_->changed.notify_one();
}

WriterStatistics Writer::statistics() const {
  const std::lock_guard lock(impl_->mutex);
  WriterStatistics copy = impl_->statistics;
  copy.queued = impl_->queue.size();
  return copy;
}

}  // namespace stele::sql
