#include "registry/arrival.hpp"

#include "storage/catalog/collection.hpp"
#include "storage/catalog/quarantine.hpp"

namespace stele {

Arrival::Arrival(const RegistryContext& context, RepositoryName repository, Digest digest)
    : context_(context),
      repository_(std::move(repository)),
      digest_(std::move(digest)),
      id_(UploadId::random()),
      hasher_(digest_.algorithm()) {}

Arrival::~Arrival() = default;

Task<Result<void>> Arrival::begin() {
  auto opening = context_.disk.start([this]() -> Result<void> {
    auto writer = context_.blobs.create(id_);
    if (!writer) return writer.error();
    writer_ = std::move(*writer);
    auto reader = context_.blobs.open_upload(id_);
    if (!reader) return reader.error();
    reader_ = std::move(*reader);
    return {};
  });
  co_return co_await opening;
}

Task<Result<void>> Arrival::append(ByteView bytes) {
  auto writing = context_.bulk.start([this, bytes]() -> Result<void> {
    hasher_.update(bytes);
    return writer_->append(bytes);
  });
  const Result<void> written = co_await writing;
  if (written) size_ += bytes.size();
  co_return written;
}

Result<void> Arrival::verify() const {
  const Digest actual = hasher_.finish();
  if (actual == digest_) return {};
  return Error(Errc::digest_mismatch,
               "what came as " + digest_.str() + " has digest " + actual.str() + "; it was not kept");
}

Task<void> Arrival::give_up() {
  if (std::exchange(done_, true)) co_return;
  auto removing = context_.disk.start([this] {
    writer_.reset();
    [[maybe_unused]] const auto removed = context_.blobs.discard(id_);  // the sweep gets what stays
  });
  co_await removing;
}

// On the disk pool.
Result<void> Arrival::store() {
  if (auto synced = writer_->sync(); !synced) return synced;
  writer_.reset();
  return context_.blobs.publish(id_, digest_);
}

Task<Result<void>> Arrival::publish(audit::Actor actor) {
  context_.leases.take(digest_);
  const auto guard = co_await context_.digest_locks.lock(digest_.str());
  const bool quarantined = context_.quarantine.holds(digest_);
  auto storing = context_.disk.start([this] { return store(); });
  const Result<void> stored = co_await storing;
  if (!stored) {
    co_await give_up();
    co_return stored;
  }
  done_ = true;
  auto pending = context_.writer.write({"digest:" + digest_.str()}, [&](sql::Tx& tx) -> Result<void> {
    const Timestamp now = context_.clock.now();
    const auto id = catalog::ensure_repository(tx, repository_, now);
    const auto row = catalog::find_blob(tx, digest_);
    // A collector was cut off between its two steps: its row ends here and a new one begins, as for an
    // upload.
    const bool deleting = row && row->state == catalog::BlobState::deleting;
    if (deleting) catalog::remove_blob(tx, digest_);
    if (!row || deleting) catalog::insert_blob(tx, digest_, size_, now);
    if (quarantined && catalog::end_quarantine(tx, digest_, size_)) {
      audit::append(tx, audit::Event{"blob.repaired", repository_.str(), {}, std::nullopt, digest_}, actor,
                    now);
    }
    if (catalog::repository_has_blob(tx, id, digest_)) return {};
    catalog::link_blob(tx, id, digest_, now);
    audit::append(tx, audit::Event{"blob.push", repository_.str(), {}, std::nullopt, digest_}, actor, now);
    catalog::queue_review(tx, id, digest_, now + context_.leases.microseconds());
    return {};
  });
  const Result<void> committed = co_await pending;
  if (committed && quarantined) context_.quarantine.remove(digest_);
  // A file without a row is debris, which the sweep removes: another repository may have had the blob before.
  co_return committed;
}

}  // namespace stele
