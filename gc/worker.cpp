#include "gc/worker.hpp"

#include <pthread.h>

#include <algorithm>

namespace stele::gc {
namespace {

using std::chrono::milliseconds;

// Where there is nothing to do, the queue is looked at again: one read of one row.
constexpr milliseconds idle(1000);
constexpr milliseconds after_failure(10'000);
// A step is followed by a rest as long as itself, so that at most every other batch of the writer has one.
constexpr milliseconds shortest_rest(2);
constexpr std::chrono::seconds between_counts(30);
constexpr std::int64_t erased_per_step = 32;

}  // namespace

Worker::Worker(const RegistryContext& context, CollectorSettings settings)
    : context_(context),
      pause_(context, "collection"),
      collector_(context, settings),
      trash_(context),
      thread_([this] { run(); }) {
  pthread_setname_np(thread_.native_handle(), "stele-gc");
}

Worker::~Worker() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Worker::run() {
  std::unique_lock lock(mutex_);
  milliseconds rest(0);
  while (!changed_.wait_for(lock, rest, [&] { return stopping_; })) {
    lock.unlock();
    rest = work();
    lock.lock();
  }
}

bool Worker::paused() const {
  const auto why = pause_.now();
  return !why || why->has_value();  // when in doubt, it rests
}

milliseconds Worker::work() {
  count_now_and_then();
  if (context_.leases.settling() || paused()) return idle;
  const auto begun = std::chrono::steady_clock::now();
  const Result<Collected> collected = sync_wait(collector_.step());
  bool worked = collected && collected->reviews > 0;
  std::string problem = collected ? std::string() : collected.error().message();
  if (collected && !worked) {
    const Result<bool> erased = erase_due();
    worked = erased && *erased;
    if (!erased) problem = erased.error().message();
  }
  const auto took = std::chrono::steady_clock::now() - begun;
  const std::lock_guard lock(mutex_);
  progress_.problem = std::move(problem);
  if (collected) progress_.total += *collected;
  if (!progress_.problem.empty()) return after_failure;
  if (!worked) return idle;
  progress_.seconds += std::chrono::duration<double>(took).count();
  return std::max(shortest_rest, std::chrono::duration_cast<milliseconds>(took));
}

Result<bool> Worker::erase_due() {
  const Result<ErasedDue> erased = sync_wait(trash_.erase_due(erased_per_step));
  if (!erased) return erased.error();
  const std::lock_guard lock(mutex_);
  progress_.erased.items += erased->items;
  progress_.erased.postponed += erased->postponed;
  return erased->items + erased->postponed > 0;
}

void Worker::count_now_and_then() {
  const auto now = std::chrono::steady_clock::now();
  if (now < next_count_) return;
  next_count_ = now + between_counts;
  const auto counted = status();
  if (!counted) return;
  const std::lock_guard lock(mutex_);
  progress_.paused = counted->paused;
  progress_.queued = counted->queued;
  progress_.due = counted->due;
  progress_.next = counted->next;
  progress_.trash = counted->trash;
}

CollectionStatus Worker::progress() const {
  CollectionStatus now;
  {
    const std::lock_guard lock(mutex_);
    now = progress_;
  }
  now.settling = context_.leases.settling();
  return now;
}

Result<CollectionStatus> Worker::status() const {
  CollectionStatus now = progress();
  return context_.database.read([&](sql::Session& session) -> Result<CollectionStatus> {
    now.paused = pause_.in(session);
    now.queued = catalog::count_reviews(session, Timestamp{INT64_MAX}, most_counted);
    now.due = catalog::count_reviews(session, context_.clock.now(), most_counted);
    now.next = catalog::next_review(session);
    now.trash = catalog::trash_size(session, most_counted);
    return now;
  });
}

Task<Result<void>> Worker::pause(std::string reason, audit::Actor actor) {
  co_return co_await pause_.begin(std::move(reason), std::move(actor));
}

Task<Result<void>> Worker::resume(audit::Actor actor) {
  const Result<void> written = co_await pause_.end(std::move(actor));
  if (written) changed_.notify_all();
  co_return written;
}

}  // namespace stele::gc
