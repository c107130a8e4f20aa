#include "registry/uploads.hpp"

#include "registry/quota.hpp"
#include "registry/uploads_impl.hpp"

namespace stele {
namespace {

Error unknown_upload(const RepositoryName& repository, const UploadId& id) {
  return Error(Errc::upload_unknown,
               "upload session " + id.str() + " does not exist in " + repository.str() +
                   "; it was finished, cancelled, expired or never begun: start a new one");
}

}  // namespace

Uploads::Uploads(RegistryContext context, UploadsSettings settings)
    : context_(context), settings_(settings) {}
Uploads::~Uploads() = default;

Result<UploadId> Uploads::start(const RepositoryName& repository, const audit::Actor& actor,
                                DigestAlgorithm algorithm) {
  auto id = UploadId::random();
  auto session = std::make_shared<Session>(id, repository, actor.principal.name(), algorithm,
                                           context_.release_clock.now());
  const std::lock_guard lock(mutex_);
  if (sessions_.size() >= settings_.max_sessions && !drop_empty(Timestamp{INT64_MAX})) {
    return Error(Errc::too_many_requests, "too many uploads are open (" + std::to_string(sessions_.size()) +
                                              "); finish or cancel some, or wait until idle ones expire");
  }
  session->place = empty_.insert(empty_.end(), session.get());
  sessions_.emplace(id, std::move(session));
  return id;
}

Result<void> Uploads::has_room(const RepositoryName& repository) const {
  return room_for_upload(context_, repository);
}

Task<Result<std::shared_ptr<Uploads::Session>>> Uploads::find(const RepositoryName& repository,
                                                              const UploadId& id, const audit::Actor& actor) {
  const std::string& caller = actor.principal.name();
  {
    const std::lock_guard lock(mutex_);
    const auto found = sessions_.find(id);
    if (found != sessions_.end()) {
      if (found->second->repository != repository || found->second->actor != caller)
        co_return unknown_upload(repository, id);
      co_return found->second;
    }
  }
  // From before a restart.
  auto row = context_.database.read([&](sql::Session& session) -> Result<std::optional<catalog::UploadRow>> {
    return catalog::find_upload(session, id);
  });
  if (!row) co_return row.error();
  if (!*row || (*row)->repository != repository.str() || (*row)->actor != caller)
    co_return unknown_upload(repository, id);
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

Result<std::shared_ptr<Uploads::SessionLock>> Uploads::acquire(const std::shared_ptr<Session>& session,
                                                               bool even_if_damaged) {
  const std::lock_guard lock(mutex_);
  // First: what a request is working on is that request's, and only `busy` may be looked at.
  if (session->busy) {
    return Error(Errc::upload_busy, "another request is writing to upload session " + session->id.str() +
                                        "; wait for it to end, then ask for the offset");
  }
  if (session->ended) return unknown_upload(session->repository, session->id);
  if (session->damage && !even_if_damaged) return *session->damage;
  return std::make_shared<SessionLock>(*this, session);
}

std::shared_ptr<Uploads::SessionLock> Uploads::acquire_idle(const std::shared_ptr<Session>& session,
                                                            Timestamp limit) {
  const std::lock_guard lock(mutex_);
  if (session->busy || session->ended || session->updated_at >= limit) return nullptr;
  return std::make_shared<SessionLock>(*this, session);
}

Task<Result<std::uint64_t>> Uploads::offset(const RepositoryName& repository, const UploadId& id,
                                            const audit::Actor& actor) {
  auto session = co_await find(repository, id, actor);
  if (!session) co_return session.error();
  co_return offset_of(**session);
}

Result<std::uint64_t> Uploads::offset_of(Session& session) {
  const std::lock_guard lock(mutex_);
  // Who asks while a request is at work has often lost the line on which that request hangs.
  if (session.busy) return session.acknowledged;
  if (session.ended) return unknown_upload(session.repository, session.id);
  if (session.damage) return *session.damage;
  session.updated_at = context_.release_clock.now();
  if (session.place) empty_.splice(empty_.end(), empty_, *session.place);
  return session.offset;
}

Task<Result<std::uint64_t>> Uploads::append(const RepositoryName& repository, const UploadId& id,
                                            ByteSource& source, std::optional<ChunkRange> range,
                                            const audit::Actor& actor) {
  auto session = co_await find(repository, id, actor);
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
  auto session = co_await find(repository, id, actor);
  if (!session) co_return session.error();
  const auto use = acquire(*session);
  if (!use) co_return use.error();
  context_.leases.take(digest);
  const std::uint64_t announced = (*session)->offset + source.length().value_or(0);
  if (auto room = room_for_blob(context_, repository, digest, announced); !room) {
    co_await discard(**session);
    co_return room;
  }
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

Task<Result<void>> Uploads::cancel(const RepositoryName& repository, const UploadId& id,
                                   const audit::Actor& actor) {
  auto session = co_await find(repository, id, actor);
  if (!session) co_return session.error();
  const auto use = acquire(*session, true);
  if (!use) co_return use.error();
  co_return co_await discard(**session);
}

bool Uploads::known(const UploadId& id) {
  {
    const std::lock_guard lock(mutex_);
    if (sessions_.contains(id)) return true;
  }
  const auto row =
      context_.database.read([&](sql::Session& session) -> Result<std::optional<catalog::UploadRow>> {
        return catalog::find_upload(session, id);
      });
  return !row || row->has_value();  // when in doubt, it is known
}

UploadsStatistics Uploads::statistics() const {
  const std::lock_guard lock(mutex_);
  UploadsStatistics now = statistics_;
  now.open = sessions_.size();
  now.bytes = bytes_.load(std::memory_order_relaxed);
  now.buffered = buffers_.used();
  return now;
}

}  // namespace stele
