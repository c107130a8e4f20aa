#include "registry/quota.hpp"
#include "registry/uploads_impl.hpp"
#include "storage/catalog/collection.hpp"
#include "storage/catalog/quarantine.hpp"

namespace stele {

Task<Result<void>> Uploads::persist(Session& session) {
  if (session.writer || !session.unwritten.empty()) {
    auto syncing = context_.disk.start([&]() -> Result<void> {
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
  auto pending = context_.writer.write({}, [&](sql::Tx& tx) -> Result<void> {
    const Timestamp now = context_.release_clock.now();
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
  const auto guard = co_await context_.digest_locks.lock(digest.str());
  auto known = context_.database.read([&](sql::Session& reader) -> Result<std::optional<catalog::BlobInfo>> {
    return catalog::find_blob(reader, digest);
  });
  if (!known) co_return known.error();
  const bool live = *known && (*known)->state == catalog::BlobState::live;
  const bool quarantined = context_.quarantine.holds(digest);
  bool stored_already = false;
  auto storing = context_.disk.start([&]() -> Result<void> {
    // These bytes are right: they have just been hashed. Whatever else the file holds is replaced by them,
    // also when it was lost, cut or has rotted (I1, I6).
    if (live && !quarantined) stored_already = has_same_content(context_.blobs, digest, session);
    if (stored_already) return {};
    if (auto opened = open_writer(session); !opened) return opened;
    if (auto synced = session.writer->sync(); !synced) return synced;
    session.writer.reset();
    // Until the row says that the upload is over, its acknowledged bytes must be there to go on from.
    return context_.blobs.publish(session.id, digest,
                                  session.has_row ? BlobStore::Upload::stays : BlobStore::Upload::moves);
  });
  Result<void> stored = co_await storing;
  if (!stored) {
    if (!stored_already) co_await discard(session);
    co_return stored;
  }

  auto pending = context_.writer.write({"digest:" + digest.str()}, [&](sql::Tx& tx) -> Result<void> {
    const Timestamp now = context_.clock.now();
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
      const QuotaCheck quota(tx, context_, id, session.repository);
      catalog::link_blob(tx, id, digest, now);
      audit::append(tx, audit::Event{"blob.push", session.repository.str(), {}, std::nullopt, digest}, actor,
                    now);
      catalog::queue_review(tx, id, digest, now + context_.leases.microseconds());
      if (auto room = quota.done(); !room) return room;
    }
    if (session.has_row) catalog::delete_upload(tx, session.id);
    return {};
  });
  const Result<void> committed = co_await pending;
  if (committed && quarantined) context_.quarantine.remove(digest);
  session.writer.reset();
  session.ended = committed.has_value() || !session.has_row;  // acknowledged bytes outlive a failed commit
  // What nobody needs any more goes now, as far as the disk still lets us; the sweep gets the rest.
  const bool drop_upload = session.ended && session.has_file && (stored_already || session.has_row);
  const bool drop_blob = !committed && !live;
  if (drop_upload || drop_blob) {
    auto tidying = context_.disk.start([&] {
      if (drop_upload) [[maybe_unused]]
        const auto dropped = context_.blobs.discard(session.id);
      if (drop_blob) [[maybe_unused]]
        const auto removed = context_.blobs.remove(digest);
    });
    co_await tidying;
  }
  // A quota has refused it: nobody comes back for what was acknowledged.
  if (!committed && committed.error().code() == Errc::forbidden && session.has_row) co_await discard(session);
  if (!committed) co_return committed;
  const std::lock_guard lock(mutex_);
  ++statistics_.finished;
  co_return Result<void>();
}

Task<Result<void>> Uploads::discard(Session& session) {
  session.ended = true;
  session.writer.reset();
  session.forget_unwritten();
  // The row first: a row whose file is gone would go on promising bytes, a file without a row is only debris.
  Result<void> ended;
  if (session.has_row) {
    auto pending = context_.writer.write({}, [&](sql::Tx& tx) -> Result<void> {
      catalog::delete_upload(tx, session.id);
      return {};
    });
    ended = co_await pending;
  }
  if (session.has_file) {
    auto removing = context_.disk.start([&] { return context_.blobs.discard(session.id); });
    auto removed = co_await removing;
    if (!removed) co_return removed;
  }
  co_return ended;
}

}  // namespace stele
