#pragma once
// Upload sessions: bytes in, a blob out (distribution-spec, "Pushing blobs"). Bytes are hashed while they are
// written, and the state of the hash is saved with the offset, so that an upload goes on after a restart
// without being read again.
//
//   start() → append()* → finish()      or  cancel(), or expiry
//
// A session without bytes lives in memory only. After an acknowledged append() its row, its file and its hash
// state are durable.

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

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
  std::size_t max_sessions = 65'536;
};

struct UploadsStatistics {
  std::size_t open = 0;
  std::uint64_t finished = 0;
  std::uint64_t expired = 0;
  std::uint64_t bytes = 0;
};

// Thread-safe. One request at a time works on a session: a second one gets upload_busy and changes nothing.
class Uploads {
 public:
  Uploads(RegistryParts parts, UploadsSettings settings);
  ~Uploads();

  // too_many_requests when max_sessions are open.
  Result<UploadId> start(const RepositoryName&, const audit::Actor&, DigestAlgorithm algorithm);

  // The bytes received so far. upload_unknown also for a session of another repository.
  Task<Result<std::uint64_t>> offset(const RepositoryName&, const UploadId&);

  // Appends the body; the offset after it. range_invalid when `range` does not continue the upload: the
  // session survives. size_invalid when the body is not as long as `range` says: the session is as before.
  // When the client breaks off, what came stays. no_space, io: the session ends and its bytes are removed.
  Task<Result<std::uint64_t>> append(const RepositoryName&, const UploadId&, ByteSource&,
                                     std::optional<ChunkRange> range);

  // Appends the rest, compares, publishes. digest_mismatch ends the session.
  Task<Result<void>> finish(const RepositoryName&, const UploadId&, ByteSource&,
                            std::optional<ChunkRange> range, const Digest& digest, const audit::Actor&);

  Task<Result<void>> cancel(const RepositoryName&, const UploadId&);

  // Ends sessions that were idle for settings.idle_seconds; how many.
  Task<std::size_t> expire();
  // Writes rows for the sessions that have none, so that a stop in good order loses nothing.
  Task<void> persist_all();

  // Is there a session of this id, in memory or in the catalog? For the sweep.
  bool known(const UploadId&);

  UploadsStatistics statistics() const;

 private:
  struct Session;
  class Use;
  class ChunkInFlight;
  Task<Result<std::shared_ptr<Session>>> find(const RepositoryName&, const UploadId&);
  // Sole use of the session until the Use goes.
  Result<std::shared_ptr<Use>> acquire(const std::shared_ptr<Session>&, bool even_if_damaged = false);
  Task<Result<void>> receive(Session&, ByteSource&, std::optional<ChunkRange> range);
  Task<Result<void>> receive_small(Session&, ByteSource&);
  // Blocking, for the disk pool: afterwards the writer is open and every byte of the offset is in the file.
  Result<void> open_writer(Session&);
  Task<Result<void>> pump(Session&, ByteSource&);
  Task<Result<void>> persist(Session&);
  Task<Result<void>> publish(Session&, const Digest&, const audit::Actor&);
  Task<Result<void>> discard(Session&);
  Task<Result<void>> rehash(Session&, DigestAlgorithm);

  RegistryParts parts_;
  const UploadsSettings settings_;
  BufferBudget buffers_;
  mutable std::mutex mutex_;
  std::map<UploadId, std::shared_ptr<Session>> sessions_;
  UploadsStatistics statistics_;
  std::atomic<std::uint64_t> bytes_{0};
};

}  // namespace stele
