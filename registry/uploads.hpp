#pragma once
// Upload sessions: bytes in, a blob out (distribution-spec, "Pushing blobs"). Bytes are hashed while they are
// written, and the state of the hash is saved with the offset, so that an upload goes on after a restart
// without being read again.
//
//   start() → append()* → finish()      or  cancel(), or expiry
//
// A session without bytes promises nothing (docs/decisions/003): it lives in memory only, ends after minutes,
// and makes room for a newer one when there are too many. After an acknowledged append() its row, its file
// and its hash state are durable.
//
// A session is its repository's and its beginner's, whom his principal names: with whatever token, on
// whatever connection and after a restart. To everybody else, and in every other repository, it is not there
// (upload_unknown). All who did not say who they are are one principal.

#include <array>
#include <atomic>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "base/hasher.hpp"
#include "registry/buffer_budget.hpp"
#include "registry/registry.hpp"

namespace stele {

// Where a request body comes from.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Fills `out` unless the body ends or breaks before; the number of bytes read. Only when there are none: 0
  // at the end, or the error.
  virtual Task<Result<std::size_t>> read_full(ByteSpan out) = 0;
  // What has arrived: up to out.size() bytes, 0 at the end, or the error; none: nothing yet, wait() for more.
  // A source that lets nobody wait long need not know it.
  virtual Task<Result<std::optional<std::size_t>>> read_arrived(ByteSpan out);
  // Until read_arrived() may have something. Nobody has to hold a buffer meanwhile.
  virtual Task<void> wait();
  // The announced number of bytes, if there is one.
  virtual std::optional<std::uint64_t> length() const = 0;
};

// The inclusive range that a chunk claims to be.
struct ChunkRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};

struct UploadsSettings {
  std::int64_t idle_seconds = 24 * 60 * 60;
  std::int64_t empty_idle_seconds = 10 * 60;  // of a session without bytes; idle_seconds if that is less
  std::size_t max_sessions = 65'536;
};

struct UploadsStatistics {
  std::size_t open = 0;
  std::uint64_t finished = 0;
  std::uint64_t expired = 0;
  std::uint64_t bytes = 0;
  std::size_t buffered = 0;  // bytes of the buffers that requests hold now
};

// Thread-safe. One request at a time works on a session: a second one gets upload_busy and changes nothing;
// only offset() answers beside it.
class Uploads {
 public:
  Uploads(RegistryContext context, UploadsSettings settings);
  ~Uploads();

  // When max_sessions are open, the one without bytes that was idle for longest ends; too_many_requests when
  // all have bytes or are being worked on.
  Result<UploadId> start(const RepositoryName&, const audit::Actor&, DigestAlgorithm algorithm);

  // forbidden when a quota leaves the repository no room for anything: before bytes are sent in vain. For who
  // does not say which blob it will be.
  Result<void> has_room(const RepositoryName&) const;

  // The bytes that the client may count on: while a request is at work, those from before it. Never waits for
  // that request.
  Task<Result<std::uint64_t>> offset(const RepositoryName&, const UploadId&, const audit::Actor&);

  // Appends the body; the offset after it. range_invalid when `range` does not continue the upload: the
  // session survives. size_invalid when the body is not as long as `range` says: the session is as before.
  // When the client breaks off, what came stays. no_space, io: the session ends and its bytes are removed.
  Task<Result<std::uint64_t>> append(const RepositoryName&, const UploadId&, ByteSource&,
                                     std::optional<ChunkRange> range, const audit::Actor&);

  // Appends the rest, compares, publishes. digest_mismatch ends the session, and so does forbidden: a quota
  // has no room for the blob, asked before the rest is received and again when it is published.
  Task<Result<void>> finish(const RepositoryName&, const UploadId&, ByteSource&,
                            std::optional<ChunkRange> range, const Digest& digest, const audit::Actor&);

  Task<Result<void>> cancel(const RepositoryName&, const UploadId&, const audit::Actor&);

  // Ends sessions that were idle for settings.idle_seconds, those without bytes for empty_idle_seconds; how
  // many.
  Task<std::size_t> expire();
  // Writes rows for the sessions that have none, so that a stop in good order loses nothing; those without
  // bytes a thousand at a time.
  Task<void> persist_all();

  // Is there a session of this id, in memory or in the catalog? For the sweep.
  bool known(const UploadId&);

  UploadsStatistics statistics() const;

 private:
  struct Session;
  class SessionLock;
  class ChunkInFlight;
  using LockedSessions = std::vector<std::pair<std::shared_ptr<Session>, std::shared_ptr<SessionLock>>>;
  Task<Result<std::shared_ptr<Session>>> find(const RepositoryName&, const UploadId&, const audit::Actor&);
  Result<std::uint64_t> offset_of(Session&);
  // Sole use of the session until the lock goes.
  Result<std::shared_ptr<SessionLock>> acquire(const std::shared_ptr<Session>&, bool even_if_damaged = false);
  // The same for a session that nobody used since `limit`; nullptr when it is not idle any more.
  std::shared_ptr<SessionLock> acquire_idle(const std::shared_ptr<Session>&, Timestamp limit);
  // With mutex_ held: ends the session without bytes that was idle for longest, if that is since before
  // `limit`.
  bool drop_empty(Timestamp limit);
  Task<Result<void>> receive(Session&, ByteSource&, std::optional<ChunkRange> range);
  Task<Result<void>> receive_small(Session&, ByteSource&);
  // Blocking, for the disk pool: afterwards the writer is open and every byte of the offset is in the file.
  Result<void> open_writer(Session&);
  Task<Result<void>> pump(Session&, ByteSource&);
  Task<Result<bool>> take_what_arrives(Session&, ByteSource&);
  Task<Result<void>> take_turns(ChunkInFlight&, ByteSource&, std::array<ByteSpan, 2> buffers);
  Task<Result<void>> persist(Session&);
  static bool has_same_content(BlobStore&, const Digest&, const Session&);
  Task<Result<void>> publish(Session&, const Digest&, const audit::Actor&);
  Task<Result<void>> discard(Session&);
  Task<Result<void>> rehash(Session&, DigestAlgorithm);
  // Writes rows for sessions without bytes, or takes their rows away; one commit.
  Task<Result<void>> insert_rows(const LockedSessions&);
  Task<Result<void>> delete_rows(const LockedSessions&);
  // Of the catalog's rows, those idle since `limit` that have no bytes; how many ended.
  Task<std::size_t> expire_rows(Timestamp limit, Timestamp empty_limit);

  RegistryContext context_;
  const UploadsSettings settings_;
  BufferBudget buffers_;
  mutable std::mutex mutex_;
  std::map<UploadId, std::shared_ptr<Session>> sessions_;
  // Sessions without bytes and without a row that no request works on, the longest idle first.
  std::list<Session*> empty_;
  UploadsStatistics statistics_;
  std::atomic<std::uint64_t> bytes_{0};
};

}  // namespace stele
