#include "registry/uploads.hpp"

#include <algorithm>
#include <array>
#include <exception>
#include <thread>

#include "storage/catalog/collection.hpp"
#include "storage/catalog/quarantine.hpp"

namespace stele {
namespace {

constexpr std::size_t small_body = 64 * 1024;
constexpr std::size_t bulk_piece = 128 * 1024;

// Half an upload on a full or failing disk helps nobody: its bytes go at once.
bool ends_session(Errc code) {
  return code == Errc::no_space || code == Errc::io || code == Errc::upload_unknown;
}

// Calls `work` for each piece of `bytes` until one fails. Between pieces it offers the processor to whoever
// waits for it: a kernel that does not preempt would let them wait for the whole megabyte.
template <class F>
Result<void> in_pieces(ByteView bytes, F work) {
  while (!bytes.empty()) {
    const ByteView piece = bytes.first(std::min(bytes.size(), bulk_piece));
    bytes = bytes.subspan(piece.size());
    if (Result<void> done = work(piece); !done) return done;
    std::this_thread::yield();
  }
  return {};
}

Error unknown_upload(const RepositoryName& repository, const UploadId& id) {
  return Error(Errc::upload_unknown,
               "upload session " + id.str() + " does not exist in " + repository.str() +
                   "; it was finished, cancelled, expired or never begun: start a new one");
}

}  // namespace

struct Uploads::Session {
  Session(UploadId session_id, RepositoryName name, std::string who, DigestAlgorithm algorithm, Timestamp now)
      : id(std::move(session_id)),
        repository(std::move(name)),
        actor(std::move(who)),
        started_at(now),
        updated_at(now),
        algorithm_(algorithm) {}

  // Over the first `offset` bytes. Made when it is needed: a session without bytes is small.
  Hasher& hasher() {
    if (!hasher_) hasher_ = std::make_unique<Hasher>(algorithm_);
    return *hasher_;
  }
  // Nothing that a restart, or its end, would lose.
  bool nothing_promised() const { return offset == 0 && !has_row && !has_file && !ended; }

  const UploadId id;
  const RepositoryName repository;
  const std::string actor;
  std::uint64_t offset = 0;
  // What `offset` was when the request at work began: all that has been acknowledged. Guarded by
  // Uploads::mutex_.
  std::uint64_t acknowledged = 0;
  bool has_row = false;  // in the catalog
  bool has_file = false;
  bool ended = false;
  std::optional<Error> damage;  // the saved state cannot be read: the session can only be given up
  bool busy = false;            // guarded by Uploads::mutex_
  Timestamp started_at;
  Timestamp updated_at;
  std::unique_ptr<BlobWriter> writer;  // open while a request works on the session
  // The last bytes of the offset, of a small body; never beyond the request that brought them.
  std::string unwritten;
  // Where it stands in Uploads::empty_, if it does; guarded by Uploads::mutex_.
  std::optional<std::list<Session*>::iterator> place;

 private:
  const DigestAlgorithm algorithm_;
  std::unique_ptr<Hasher> hasher_;
};

class Uploads::Use {
 public:
  // With owner.mutex_ held.
  Use(Uploads& owner, std::shared_ptr<Session> session) : owner_(owner), session_(std::move(session)) {
    session_->busy = true;
    session_->acknowledged = session_->offset;
    if (session_->place) owner_.empty_.erase(*std::exchange(session_->place, std::nullopt));
  }
  ~Use() {
    session_->writer.reset();
    const std::lock_guard lock(owner_.mutex_);
    session_->busy = false;
    session_->updated_at = owner_.parts_.release_clock.now();
    if (session_->nothing_promised())
      session_->place = owner_.empty_.insert(owner_.empty_.end(), session_.get());
    if (session_->ended) owner_.sessions_.erase(session_->id);
  }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;

 private:
  Uploads& owner_;
  std::shared_ptr<Session> session_;
};

Uploads::Uploads(RegistryParts parts, UploadsSettings settings) : parts_(parts), settings_(settings) {}
Uploads::~Uploads() = default;

Result<UploadId> Uploads::start(const RepositoryName& repository, const audit::Actor& actor,
                                DigestAlgorithm algorithm) {
  auto id = UploadId::random();
  auto session = std::make_shared<Session>(id, repository, actor.principal.name(), algorithm,
                                           parts_.release_clock.now());
  const std::lock_guard lock(mutex_);
  if (sessions_.size() >= settings_.max_sessions && !drop_empty(Timestamp{INT64_MAX})) {
    return Error(Errc::too_many_requests, "too many uploads are open (" + std::to_string(sessions_.size()) +
                                              "); finish or cancel some, or wait until idle ones expire");
  }
  session->place = empty_.insert(empty_.end(), session.get());
  sessions_.emplace(id, std::move(session));
  return id;
}

bool Uploads::drop_empty(Timestamp limit) {
  if (empty_.empty() || empty_.front()->updated_at > limit) return false;
  Session& oldest = *empty_.front();
  empty_.pop_front();
  oldest.place.reset();
  oldest.ended = true;  // for a request that has just found it
  sessions_.erase(oldest.id);
  return true;
}

Task<Result<std::shared_ptr<Uploads::Session>>> Uploads::find(const RepositoryName& repository,
                                                              const UploadId& id) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = sessions_.find(id);
    if (found != sessions_.end()) {
      if (found->second->repository != repository) co_return unknown_upload(repository, id);
      co_return found->second;
    }
  }
  // From before a restart.
  auto row = parts_.database.read([&](sql::Session& session) -> Result<std::optional<catalog::UploadRow>> {
    return catalog::find_upload(session, id);
  });
  if (!row) co_return row.error();
  if (!*row || (*row)->repository != repository.str()) co_return unknown_upload(repository, id);
  auto session =
      std::make_shared<Session>(id, repository, (*row)->actor, DigestAlgorithm::sha256, (*row)->started_at);
  if (auto hasher = Hasher::restore((*row)->hash_state)) {
    session->hasher() = *hasher;
  } else {
    session->damage = hasher.error();
  }
  session->offset = (*row)->offset;
  session->updated_at = (*row)->updated_at;
  session->has_row = true;
  session->has_file = session->offset > 0;
  const std::lock_guard lock(mutex_);
  co_return sessions_.emplace(id, std::move(session)).first->second;  // another request may have been quicker
}

Result<std::shared_ptr<Uploads::Use>> Uploads::acquire(const std::shared_ptr<Session>& session,
                                                       bool even_if_damaged) {
  const std::lock_guard lock(mutex_);
  // First: what a request is working on is that request's, and only `busy` may be looked at.
  if (session->busy) {
    return Error(Errc::upload_busy, "another request is writing to upload session " + session->id.str() +
                                        "; wait for it to end, then ask for the offset");
  }
  if (session->ended) return unknown_upload(session->repository, session->id);
  if (session->damage && !even_if_damaged) return *session->damage;
  return std::make_shared<Use>(*this, session);
}

std::shared_ptr<Uploads::Use> Uploads::acquire_idle(const std::shared_ptr<Session>& session,
                                                    Timestamp limit) {
  const std::lock_guard lock(mutex_);
  if (session->busy || session->ended || session->updated_at >= limit) return nullptr;
  return std::make_shared<Use>(*this, session);
}

Task<Result<std::uint64_t>> Uploads::offset(const RepositoryName& repository, const UploadId& id) {
  auto session = co_await find(repository, id);
  if (!session) co_return session.error();
  co_return offset_of(**session);
}

Result<std::uint64_t> Uploads::offset_of(Session& session) {
  const std::lock_guard lock(mutex_);
  // Who asks while a request is at work has often lost the line on which that request hangs.
  if (session.busy) return session.acknowledged;
  if (session.ended) return unknown_upload(session.repository, session.id);
  if (session.damage) return *session.damage;
  session.updated_at = parts_.release_clock.now();
  if (session.place) empty_.splice(empty_.end(), empty_, *session.place);
  return session.offset;
}

Task<Result<std::uint64_t>> Uploads::append(const RepositoryName& repository, const UploadId& id,
                                            ByteSource& source, std::optional<ChunkRange> range) {
  auto session = co_await find(repository, id);
  if (!session) co_return session.error();
  const auto use = acquire(*session);
  if (!use) co_return use.error();
  const std::uint64_t before = (*session)->offset;
  auto received = co_await receive(**session, source, range);
  if (!received && (*session)->ended) co_return received.error();
  // Nothing new is promised: nothing to write down.
  if ((*session)->offset == before && !(*session)->writer) {
    if (!received) co_return received.error();
    co_return before;
  }
  // Also when the client broke off: what came is kept and can be continued.
  auto persisted = co_await persist(**session);
  if (!received) co_return received.error();
  if (!persisted) co_return persisted.error();
  co_return (*session)->offset;
}

Task<Result<void>> Uploads::finish(const RepositoryName& repository, const UploadId& id, ByteSource& source,
                                   std::optional<ChunkRange> range, const Digest& digest,
                                   const audit::Actor& actor) {
  auto session = co_await find(repository, id);
  if (!session) co_return session.error();
  const auto use = acquire(*session);
  if (!use) co_return use.error();
  parts_.leases.take(digest);
  auto received = co_await receive(**session, source, range);
  if (!received) {
    if (!(*session)->ended && received.error().code() == Errc::body_incomplete) co_await persist(**session);
    co_return received.error();
  }
  if ((*session)->hasher().algorithm() != digest.algorithm()) {
    auto rehashed = co_await rehash(**session, digest.algorithm());
    if (!rehashed) co_return rehashed.error();
  }
  const Digest actual = (*session)->hasher().finish();
  if (actual != digest) {
    co_await discard(**session);
    co_return Error(Errc::digest_mismatch, "the uploaded content has digest " + actual.str() + ", not " +
                                               digest.str() + " as the request says; upload it again");
  }
  co_return co_await publish(**session, digest, actor);
}

Task<Result<void>> Uploads::cancel(const RepositoryName& repository, const UploadId& id) {
  auto session = co_await find(repository, id);
  if (!session) co_return session.error();
  const auto use = acquire(*session, true);
  if (!use) co_return use.error();
  co_return co_await discard(**session);
}

Task<Result<void>> Uploads::receive(Session& session, ByteSource& source, std::optional<ChunkRange> range) {
  if (range && range->first != session.offset) {
    co_return Error(Errc::range_invalid, "the chunk begins at byte " + std::to_string(range->first) +
                                             " but the upload has " + std::to_string(session.offset) +
                                             " bytes; continue there");
  }
  const std::uint64_t announced = source.length().value_or(UINT64_MAX);
  const std::uint64_t before = session.offset;
  const Hasher hasher_before = session.hasher();
  if (range && source.length() && announced != range->last - range->first + 1) {
    co_return Error(Errc::size_invalid, "Content-Range covers " +
                                            std::to_string(range->last - range->first + 1) +
                                            " bytes but the body has " + std::to_string(announced));
  }
  if (announced == 0) co_return Result<void>();
  Result<void> pumped;
  if (announced <= small_body && session.unwritten.empty()) {
    pumped = co_await receive_small(session, source);
  } else {
    pumped = co_await pump(session, source);
  }
  if (!pumped) {
    const Errc code = pumped.error().code();
    if (ends_session(code)) co_await discard(session);
    co_return pumped;
  }
  if (range && session.offset != range->last + 1) {
    const std::uint64_t got = session.offset - before;
    session.offset = before;
    session.hasher() = hasher_before;
    session.unwritten.clear();
    co_return Error(Errc::size_invalid, "Content-Range covers " +
                                            std::to_string(range->last - range->first + 1) +
                                            " bytes but the body had " + std::to_string(got));
  }
  co_return Result<void>();
}

// The chunk that is being hashed and written while the next one is read from the socket.
class Uploads::ChunkInFlight {
 public:
  ChunkInFlight(Session& session, const RegistryParts& parts)
      : session_(session), parts_(parts), before_(session.hasher()) {}

  void start(ByteView chunk) {
    // Waking a second thread for a few kilobytes would cost more than hashing them.
    constexpr std::size_t worth_a_thread = 128 * 1024;
    size_ = chunk.size();
    before_ = session_.hasher();
    Session& session = session_;
    if (size_ >= worth_a_thread) {
      hashing_.emplace(parts_.bulk.start([&session, chunk] {
        return in_pieces(chunk, [&session](ByteView piece) -> Result<void> {
          session.hasher().update(piece);
          return {};
        });
      }));
      writing_.emplace(parts_.bulk.start([&session, chunk] {
        return in_pieces(chunk, [&session](ByteView piece) { return session.writer->append(piece); });
      }));
    } else {
      writing_.emplace(parts_.disk.start([&session, chunk] {
        session.hasher().update(chunk);
        return session.writer->append(chunk);
      }));
    }
  }

  // Waits for it, if there is one. After a failed write offset and hash are as before; whatever the file has
  // beyond them, resume() cuts off. Throws what the work threw, when none of it runs any more.
  Task<Result<void>> settle() {
    if (!writing_ && !hashing_) co_return Result<void>();
    Result<void> written = Error(Errc::internal, "the chunk was not written");
    std::exception_ptr broken;
    for (auto* work : std::array{&writing_, &hashing_}) {
      if (!*work) continue;
      try {
        Result<void> done = co_await **work;
        if (work == &writing_) written = std::move(done);
      } catch (...) {
        broken = std::current_exception();
      }
      work->reset();
    }
    if (broken) {
      session_.hasher() = before_;
      std::rethrow_exception(broken);
    }
    if (written) {
      session_.offset += size_;
    } else {
      session_.hasher() = before_;
    }
    co_return written;
  }

 private:
  Session& session_;
  const RegistryParts& parts_;
  Hasher before_;
  std::size_t size_ = 0;
  std::optional<Pending<Result<void>>> writing_;
  std::optional<Pending<Result<void>>> hashing_;
};

Result<void> Uploads::open_writer(Session& session) {
  if (!session.writer) {
    auto writer = session.has_file
                      ? parts_.blobs.resume(session.id, session.offset - session.unwritten.size())
                      : parts_.blobs.create(session.id);
    if (!writer) return writer.error();
    session.writer = std::move(*writer);
    session.has_file = true;
  }
  if (!session.unwritten.empty()) {
    if (auto written = session.writer->append(as_bytes(session.unwritten)); !written) return written;
    session.unwritten.clear();
  }
  return {};
}

// A body of a few kilobytes stays in memory until it is known what becomes of it: one trip to the disk pool
// instead of three.
Task<Result<void>> Uploads::receive_small(Session& session, ByteSource& source) {
  session.unwritten.resize(*source.length());
  const ByteSpan room = std::as_writable_bytes(std::span(session.unwritten.data(), session.unwritten.size()));
  auto got = co_await source.read_full(room);
  const std::size_t filled = got ? *got : 0;
  if (got && filled < room.size()) got = co_await source.read_full(room.subspan(filled));  // what went wrong
  session.unwritten.resize(filled);
  session.hasher().update(as_bytes(session.unwritten));
  session.offset += session.unwritten.size();
  bytes_.fetch_add(session.unwritten.size(), std::memory_order_relaxed);
  if (!got) co_return got.error();
  co_return Result<void>();
}

// Reads one buffer from the socket while the other is hashed and written, both at the same time.
Task<Result<void>> Uploads::pump(Session& session, ByteSource& source) {
  const std::size_t expected =
      static_cast<std::size_t>(std::min<std::uint64_t>(source.length().value_or(UINT64_MAX), SIZE_MAX));
  const std::size_t size = buffers_.next_size(expected);
  BufferBudget::Buffer first(buffers_, size);
  std::optional<BufferBudget::Buffer> second;  // not needed when everything fits into the first
  if (expected > size) second.emplace(buffers_, size);
  const std::array<ByteSpan, 2> buffers{first.span(), second ? second->span() : first.span()};

  auto opening = parts_.disk.start([&] { return open_writer(session); });
  auto opened = co_await opening;
  if (!opened) co_return opened;
  ChunkInFlight in_flight(session, parts_);
  Result<void> done;
  std::exception_ptr broken;
  try {
    done = co_await take_turns(in_flight, source, buffers);
  } catch (...) {
    broken = std::current_exception();
  }
  if (broken) {  // the pool's threads are still at the buffers and at the session
    [[maybe_unused]] const auto settled = co_await in_flight.settle();
    std::rethrow_exception(broken);
  }
  co_return done;
}

Task<Result<void>> Uploads::take_turns(ChunkInFlight& in_flight, ByteSource& source,
                                       std::array<ByteSpan, 2> buffers) {
  const bool one_buffer = buffers[0].data() == buffers[1].data();
  for (std::size_t turn = 0;; turn ^= 1) {
    const ByteSpan buffer = buffers[turn];
    auto got = co_await source.read_full(buffer);
    auto settled = co_await in_flight.settle();
    if (!settled) co_return settled;
    if (!got) co_return got.error();
    if (*got == 0) co_return Result<void>();
    in_flight.start(buffer.first(*got));
    bytes_.fetch_add(*got, std::memory_order_relaxed);
    if (one_buffer) {
      settled = co_await in_flight.settle();
      if (!settled) co_return settled;
    }
  }
}

Task<Result<void>> Uploads::persist(Session& session) {
  if (session.writer || !session.unwritten.empty()) {
    auto syncing = parts_.disk.start([&]() -> Result<void> {
      if (auto opened = open_writer(session); !opened) return opened;
      return session.writer->sync();
    });
    auto synced = co_await syncing;
    if (!synced) {
      if (ends_session(synced.error().code())) co_await discard(session);
      co_return synced;
    }
  }
  const std::string state = session.hasher().save();
  auto pending = parts_.writer.write({}, [&](sql::Tx& tx) -> Result<void> {
    const Timestamp now = parts_.release_clock.now();
    if (session.has_row) {
      catalog::update_upload(tx, session.id, session.offset, state, now);
    } else {
      catalog::insert_upload(tx, catalog::UploadRow{session.id, session.repository.str(), session.actor,
                                                    session.offset, state, session.started_at, now});
    }
    return {};
  });
  auto stored = co_await pending;
  if (stored) {
    session.has_row = true;
  } else if (ends_session(stored.error().code())) {
    co_await discard(session);
  }
  co_return stored;
}

// A megabyte at a time and on the pool of the large transfers: twenty gigabytes wait their turn at each step,
// and nobody waits for all of them.
Task<Result<void>> Uploads::rehash(Session& session, DigestAlgorithm algorithm) {
  constexpr std::size_t step = 1024 * 1024;
  Hasher hasher(algorithm);
  if (session.offset > 0) {
    std::unique_ptr<BlobReader> reader;
    auto opening = parts_.disk.start([&]() -> Result<void> {
      if (auto opened = open_writer(session); !opened) return opened;
      auto made = parts_.blobs.open_upload(session.id);
      if (!made) return made.error();
      reader = std::move(*made);
      return {};
    });
    auto opened = co_await opening;
    if (!opened) co_return opened;
    std::vector<std::byte> buffer(std::min<std::uint64_t>(step, session.offset));
    for (std::uint64_t at = 0; at < session.offset;) {
      auto reading = parts_.bulk.start([&]() -> Result<std::size_t> {
        const auto wanted = std::min<std::uint64_t>(buffer.size(), session.offset - at);
        auto got = reader->read_at(at, ByteSpan(buffer).first(wanted));
        if (!got) return got.error();
        if (*got == 0) return Error(Errc::io, "the upload file ended early");
        hasher.update(ByteView(buffer).first(*got));
        return *got;
      });
      const Result<std::size_t> read = co_await reading;
      if (!read) co_return read.error();
      at += *read;
    }
  }
  session.hasher() = hasher;
  co_return Result<void>();
}

// Only for a body that is in memory: comparing it costs less than a sync. A larger one has been written by
// now and takes the file's place.
bool Uploads::has_same_content(BlobStore& blobs, const Digest& digest, const Session& session) {
  if (session.unwritten.size() != session.offset) return false;
  const auto there = blobs.open(digest);
  if (!there || (*there)->size() != session.offset) return false;
  std::string stored(session.unwritten.size(), '\0');
  const auto got = (*there)->read_at(0, std::as_writable_bytes(std::span(stored.data(), stored.size())));
  return got && *got == stored.size() && stored == session.unwritten;
}

Task<Result<void>> Uploads::publish(Session& session, const Digest& digest, const audit::Actor& actor) {
  const auto guard = co_await parts_.digest_locks.lock(digest.str());
  auto known = parts_.database.read([&](sql::Session& reader) -> Result<std::optional<catalog::BlobInfo>> {
    return catalog::find_blob(reader, digest);
  });
  if (!known) co_return known.error();
  const bool live = *known && (*known)->state == catalog::BlobState::live;
  const bool quarantined = parts_.quarantine.holds(digest);
  bool stored_already = false;
  auto storing = parts_.disk.start([&]() -> Result<void> {
    // These bytes are right: they have just been hashed. Whatever else the file holds is replaced by them,
    // also when it was lost, cut or has rotted (I1, I6).
    if (live && !quarantined) stored_already = has_same_content(parts_.blobs, digest, session);
    if (stored_already) return {};
    if (auto opened = open_writer(session); !opened) return opened;
    if (auto synced = session.writer->sync(); !synced) return synced;
    session.writer.reset();
    // Until the row says that the upload is over, its acknowledged bytes must be there to go on from.
    return parts_.blobs.publish(session.id, digest,
                                session.has_row ? BlobStore::Upload::stays : BlobStore::Upload::moves);
  });
  Result<void> stored = co_await storing;
  if (!stored) {
    if (!stored_already) co_await discard(session);
    co_return stored;
  }

  auto pending = parts_.writer.write({"digest:" + digest.str()}, [&](sql::Tx& tx) -> Result<void> {
    const Timestamp now = parts_.clock.now();
    const auto id = catalog::ensure_repository(tx, session.repository, now);
    const auto row = catalog::find_blob(tx, digest);
    if (row && row->state == catalog::BlobState::deleting) {
      // A collector was cut off between its two steps. Its file is gone or was just replaced by ours: the old
      // row ends here and a new one begins; nothing is revived.
      catalog::remove_blob(tx, digest);
    }
    if (!row || row->state == catalog::BlobState::deleting)
      catalog::insert_blob(tx, digest, session.offset, now);
    if (quarantined && catalog::end_quarantine(tx, digest, session.offset)) {
      audit::append(tx, audit::Event{"blob.repaired", session.repository.str(), {}, std::nullopt, digest},
                    actor, now);
    }
    if (!catalog::repository_has_blob(tx, id, digest)) {
      catalog::link_blob(tx, id, digest, now);
      audit::append(tx, audit::Event{"blob.push", session.repository.str(), {}, std::nullopt, digest}, actor,
                    now);
      catalog::queue_review(tx, id, digest, now + parts_.leases.microseconds());
    }
    if (session.has_row) catalog::delete_upload(tx, session.id);
    return {};
  });
  const Result<void> committed = co_await pending;
  if (committed && quarantined) parts_.quarantine.remove(digest);
  session.writer.reset();
  session.ended = committed.has_value() || !session.has_row;  // acknowledged bytes outlive a failed commit
  // What nobody needs any more goes now, as far as the disk still lets us; the sweep gets the rest.
  const bool drop_upload = session.ended && session.has_file && (stored_already || session.has_row);
  const bool drop_blob = !committed && !live;
  if (drop_upload || drop_blob) {
    auto tidying = parts_.disk.start([&] {
      if (drop_upload) [[maybe_unused]]
        const auto dropped = parts_.blobs.discard(session.id);
      if (drop_blob) [[maybe_unused]]
        const auto removed = parts_.blobs.remove(digest);
    });
    co_await tidying;
  }
  if (!committed) co_return committed;
  const std::lock_guard lock(mutex_);
  ++statistics_.finished;
  co_return Result<void>();
}

Task<Result<void>> Uploads::discard(Session& session) {
  session.ended = true;
  session.writer.reset();
  session.unwritten.clear();
  // The row first: a row whose file is gone would go on promising bytes, a file without a row is only debris.
  Result<void> ended;
  if (session.has_row) {
    auto pending = parts_.writer.write({}, [&](sql::Tx& tx) -> Result<void> {
      catalog::delete_upload(tx, session.id);
      return {};
    });
    ended = co_await pending;
  }
  if (session.has_file) {
    auto removing = parts_.disk.start([&] { return parts_.blobs.discard(session.id); });
    auto removed = co_await removing;
    if (!removed) co_return removed;
  }
  co_return ended;
}

// By the release clock: what somebody is uploading does not expire because the machine's time was set
// forward.
Task<std::size_t> Uploads::expire() {
  const Timestamp now = parts_.release_clock.now();
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
      parts_.database.read([&](sql::Session& session) -> Result<std::vector<catalog::UploadRow>> {
        return catalog::list_uploads(session, empty_limit, rows_per_turn);
      });
  if (!rows) co_return ended;
  Uses empty;
  for (const catalog::UploadRow& row : *rows) {
    if (row.offset > 0 && row.updated_at >= limit) continue;
    const auto name = RepositoryName::parse(row.repository);
    if (!name) continue;
    auto session = co_await find(*name, row.id);
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

Task<Result<void>> Uploads::insert_rows(const Uses& uses) {
  auto pending = parts_.writer.write({}, [&](sql::Tx& tx) -> Result<void> {
    const Timestamp now = parts_.release_clock.now();
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

Task<Result<void>> Uploads::delete_rows(const Uses& uses) {
  auto pending = parts_.writer.write({}, [&](sql::Tx& tx) -> Result<void> {
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
  Uses empty;
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

bool Uploads::known(const UploadId& id) {
  {
    const std::lock_guard lock(mutex_);
    if (sessions_.contains(id)) return true;
  }
  const auto row =
      parts_.database.read([&](sql::Session& session) -> Result<std::optional<catalog::UploadRow>> {
        return catalog::find_upload(session, id);
      });
  return !row || row->has_value();  // when in doubt, it is known
}

UploadsStatistics Uploads::statistics() const {
  const std::lock_guard lock(mutex_);
  UploadsStatistics now = statistics_;
  now.open = sessions_.size();
  now.bytes = bytes_.load(std::memory_order_relaxed);
  return now;
}

}  // namespace stele
