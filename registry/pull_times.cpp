#include "registry/pull_times.hpp"

#include <algorithm>

namespace stele {

Result<std::unique_ptr<PullTimes>> PullTimes::open(const PullFile::Place& place, sql::Database& database,
                                                   sql::Writer& writer, const Clock& clock) {
  struct Stored {
    std::optional<catalog::PullRecord> record;
    std::optional<Timestamp> since;
  };
  const auto stored = database.read([](sql::Session& session) -> Result<Stored> {
    return Stored{catalog::stored_pull_record(session), catalog::stored_pulls_since(session)};
  });
  if (!stored) return stored.error();
  // One without the other was not written by us.
  const bool complete = stored->record && stored->since;
  PullFile file = PullFile::open(place, complete ? stored->record : std::nullopt);
  return std::unique_ptr<PullTimes>(
      new PullTimes(std::move(file), place.words, stored->since, writer, clock));
}

PullTimes::PullTimes(PullFile file, std::size_t words, std::optional<Timestamp> since, sql::Writer& writer,
                     const Clock& clock)
    : file_(std::move(file)),
      table_(file_.words(), words, clock.now()),
      writer_(writer),
      clock_(clock),
      since_microseconds_(since ? since->microseconds : 0) {
  file_.let_pages_go();  // the table has looked at every word
}

void PullTimes::lose() noexcept {
  file_.lose_pull();
  lost_.fetch_add(1, std::memory_order_relaxed);
}

std::optional<Timestamp> PullTimes::since() const noexcept {
  // In this order: flush() sets the time before it tells.
  if (file_.has_untold_loss()) return std::nullopt;
  return Timestamp{since_microseconds_};
}

std::optional<Timestamp> PullTimes::pulled_at(sql::Session& session, catalog::ManifestId manifest) const {
  return std::max(table_.find(manifest), catalog::pulled_at(session, manifest));
}

void PullTimes::visit(sql::Session& session, catalog::RepositoryId repository,
                      const std::function<void(catalog::ManifestId, Timestamp)>& visitor) const {
  catalog::visit_pulls(session, repository,
                       [&](catalog::ManifestId manifest, std::optional<Timestamp> stored) {
                         const auto at = std::max(table_.find(manifest), stored);
                         if (at) visitor(manifest, *at);
                       });
}

Task<Result<void>> PullTimes::write(const std::vector<PullTable::Dirty>& dirty, catalog::PullRecord record,
                                    std::optional<Timestamp> since) {
  auto pending = writer_.write({}, [&](sql::Tx& tx) -> Result<void> {
    for (const PullTable::Dirty& one : dirty) catalog::raise_pulled_at(tx, one.manifest(), one.pulled_at());
    catalog::store_pull_record(tx, record, since);
    return {};
  });
  co_return co_await pending;
}

Result<PullTimes::Flush> PullTimes::flush(std::size_t limit) {
  const std::lock_guard lock(flushing_);
  const auto more_pushes = flush_pushes(limit);
  if (!more_pushes) return more_pushes.error();
  // Before the time is taken: what was lost was pulled before it.
  const std::uint64_t lost = file_.lost();
  const std::uint64_t lost_pulls = lost_.load();
  const bool anew = file_.has_untold_loss();
  const Timestamp now = clock_.now();
  const auto dirty = table_.collect(limit);
  Flush done{dirty.size(), dirty.size() == limit, lost_pulls - lost_told_};
  if (!dirty.empty() || anew) {
    std::optional<Timestamp> since;
    if (anew) since = now;
    // The same number again after a failure: it may have been committed all the same.
    const catalog::PullRecord record{file_.stamp(), file_.flushes() + 1};
    const auto written = sync_wait(write(dirty, record, since));
    if (!written) {
      table_.put_back(dirty);
      return written.error();
    }
    // Before the table forgets what is unwritten: a file that does not know of this transaction still has all
    // that was in it.
    file_.count_flush();
    if (anew) {
      since_microseconds_ = now.microseconds;
      file_.told(lost);
    }
    table_.clean(dirty);
  }
  lost_told_ = lost_pulls;
  if (!done.more) nothing_is_dirty(now);
  done.more = done.more || *more_pushes;
  return done;
}

Task<Result<void>> PullTimes::write_pushes(const std::vector<PushTimes::Push>& pushes) {
  auto pending = writer_.write({}, [&](sql::Tx& tx) -> Result<void> {
    for (const PushTimes::Push& push : pushes) {
      const auto repository = catalog::find_repository(tx, push.repository);
      if (repository) catalog::note_push(tx, *repository, push.tag, push.manifest, push.at);
    }
    return {};
  });
  co_return co_await pending;
}

Result<bool> PullTimes::flush_pushes(std::size_t limit) {
  const auto pushes = pushes_.waiting(limit);
  if (pushes.empty()) return false;
  if (const auto written = sync_wait(write_pushes(pushes)); !written) return written.error();
  pushes_.written(pushes);
  return pushes.size() == limit;
}

// A reader looks into the catalog first, then into the table: what it finds in neither must have been written
// before its snapshot. So a record leaves the table only when it has been in the catalog for so long that
// nobody has an older snapshot.
void PullTimes::nothing_is_dirty(Timestamp now) {
  if (drained_at_ && now >= *drained_at_) {
    if (now < *drained_at_ + longest_snapshot_seconds * 1'000'000) return;
    table_.allow_reuse(*drained_at_);
  }
  drained_at_ = now;
}

Result<void> PullTimes::close() {
  for (;;) {
    const auto flushed = flush();
    if (!flushed) return flushed.error();
    if (!flushed->more) break;
  }
  file_.close();
  return {};
}

PullStatistics PullTimes::statistics() const {
  return {table_.dirty(), lost_.load(std::memory_order_relaxed)};
}

std::string PullTimes::remark() const {
  if (file_.remark().empty()) return {};
  return "the record of pulls begins anew: " + file_.remark() +
         ". Until their time has passed again, lifecycle rules that ask when an image was pulled keep more";
}

}  // namespace stele
