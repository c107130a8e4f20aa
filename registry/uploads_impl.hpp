#pragma once
// What the parts of Uploads share: uploads.cpp (from start to finish), upload_body.cpp (bytes in),
// upload_end.cpp (a blob or nothing), upload_expiry.cpp (what was left behind). For them alone.

#include <exception>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "registry/uploads.hpp"

namespace stele {

// Half an upload on a full or failing disk helps nobody: its bytes go at once.
inline bool ends_session(Errc code) {
  return code == Errc::no_space || code == Errc::io || code == Errc::upload_unknown;
}

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
  std::optional<BufferBudget::Part> unwritten_part;  // what that has of the budget
  // With its memory, which an assignment would keep: a session may last for a day.
  void forget_unwritten() {
    std::string().swap(unwritten);
    unwritten_part.reset();
  }
  // Where it stands in Uploads::empty_, if it does; guarded by Uploads::mutex_.
  std::optional<std::list<Session*>::iterator> place;

 private:
  const DigestAlgorithm algorithm_;
  std::unique_ptr<Hasher> hasher_;
};

// Sole use of a session for as long as it lives.
class Uploads::SessionLock {
 public:
  // With owner.mutex_ held.
  SessionLock(Uploads& owner, std::shared_ptr<Session> session)
      : owner_(owner), session_(std::move(session)) {
    session_->busy = true;
    session_->acknowledged = session_->offset;
    if (session_->place) owner_.empty_.erase(*std::exchange(session_->place, std::nullopt));
  }
  ~SessionLock() {
    session_->writer.reset();
    const std::lock_guard lock(owner_.mutex_);
    session_->busy = false;
    session_->updated_at = owner_.context_.release_clock.now();
    if (session_->nothing_promised())
      session_->place = owner_.empty_.insert(owner_.empty_.end(), session_.get());
    if (session_->ended) owner_.sessions_.erase(session_->id);
  }
  SessionLock(const SessionLock&) = delete;
  SessionLock& operator=(const SessionLock&) = delete;

 private:
  Uploads& owner_;
  std::shared_ptr<Session> session_;
};

}  // namespace stele
