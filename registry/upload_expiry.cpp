#include "registry/uploads_impl.hpp"

#include <algorithm>

namespace stele {

bool Uploads::drop_empty(Timestamp limit) {
  if (empty_.empty() || empty_.front()->updated_at > limit) return false;
  Session& oldest = *empty_.front();
  empty_.pop_front();
  oldest.place.reset();
  oldest.ended = true;  // for a request that has just found it
  sessions_.erase(oldest.id);
  return true;
}

// By the release clock: what somebody is uploading does not expire because the machine's time was set
// forward.
Task<std::size_t> Uploads::expire() {
  const Timestamp now = context_.release_clock.now();
  const Timestamp limit = now + -settings_.idle_seconds * 1'000'000;
  const Timestamp empty_limit =
      now + -std::min(settings_.idle_seconds, settings_.empty_idle_seconds) * 1'000'000;
  std::size_t ended = 0;
  std::vector<std::shared_ptr<Session>> idle;
  {
    const std::lock_guard lock(mutex_);
    while (drop_empty(empty_limit)) ++ended;
    for (const auto& [id, session] : sessions_) {
      if (!session->busy && session->updated_at < limit) idle.push_back(session);
    }
  }
  for (const auto& session : idle) {
    if (const auto use = acquire_idle(session, limit)) {
      const auto discarded = co_await discard(*session);
      if (discarded) ++ended;
    }
  }
  ended += co_await expire_rows(limit, empty_limit);
  const std::lock_guard lock(mutex_);
  statistics_.expired += ended;
  co_return ended;
}

Task<std::size_t> Uploads::expire_rows(Timestamp limit, Timestamp empty_limit) {
  constexpr std::int64_t rows_per_turn = 10'000;
  std::size_t ended = 0;
  const auto rows =
      context_.database.read([&](sql::Session& session) -> Result<std::vector<catalog::UploadRow>> {
        return catalog::list_uploads(session, empty_limit, rows_per_turn);
      });
  if (!rows) co_return ended;
  LockedSessions empty;
  for (const catalog::UploadRow& row : *rows) {
    if (row.offset > 0 && row.updated_at >= limit) continue;
    const auto name = RepositoryName::parse(row.repository);
    if (!name) continue;
    const audit::Actor beginner{Principal(row.actor), ""};
    auto session = co_await find(*name, row.id, beginner);
    if (!session) continue;
    // A row's time is that of its last chunk; a session in memory knows better.
    auto use = acquire_idle(*session, row.offset > 0 ? limit : empty_limit);
    if (!use) continue;
    if ((*session)->offset == 0 && !(*session)->has_file) {
      empty.emplace_back(*session, std::move(use));
      continue;
    }
    const auto discarded = co_await discard(**session);
    if (discarded) ++ended;
  }
  if (empty.empty()) co_return ended;
  const auto deleted = co_await delete_rows(empty);
  if (deleted) ended += empty.size();
  co_return ended;
}

Task<Result<void>> Uploads::insert_rows(const LockedSessions& uses) {
  auto pending = context_.writer.write({}, [&](sql::Tx& tx) -> Result<void> {
    const Timestamp now = context_.release_clock.now();
    for (const auto& [session, use] : uses) {
      catalog::insert_upload(tx, catalog::UploadRow{session->id, session->repository.str(), session->actor, 0,
                                                    session->hasher().save(), session->started_at, now});
    }
    return {};
  });
  const Result<void> stored = co_await pending;
  if (stored) {
    for (const auto& [session, use] : uses) session->has_row = true;
  }
  co_return stored;
}

Task<Result<void>> Uploads::delete_rows(const LockedSessions& uses) {
  auto pending = context_.writer.write({}, [&](sql::Tx& tx) -> Result<void> {
    for (const auto& [session, use] : uses) catalog::delete_upload(tx, session->id);
    return {};
  });
  const Result<void> deleted = co_await pending;
  if (deleted) {
    for (const auto& [session, use] : uses) session->ended = true;
  }
  co_return deleted;
}

Task<void> Uploads::persist_all() {
  constexpr std::size_t rows_per_write = 1000;
  std::vector<std::shared_ptr<Session>> sessions;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, session] : sessions_) {
      if (!session->has_row && !session->ended) sessions.push_back(session);
    }
  }
  LockedSessions empty;
  for (const auto& session : sessions) {
    auto use = acquire(session);
    if (!use) continue;
    if (!session->nothing_promised()) {
      [[maybe_unused]] const auto persisted = co_await persist(*session);
      continue;
    }
    empty.emplace_back(session, std::move(*use));
    if (empty.size() < rows_per_write) continue;
    [[maybe_unused]] const auto stored = co_await insert_rows(empty);
    empty.clear();
  }
  if (!empty.empty()) [[maybe_unused]]
    const auto stored = co_await insert_rows(empty);
}

}  // namespace stele
