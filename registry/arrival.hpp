#pragma once
// A blob that comes from another registry: written as it arrives, in order, readable from its file while it
// grows, and published under its digest only when its bytes are what the digest says (I6). What does not
// arrive whole leaves nothing but a file in uploads/, which is removed at once or by the sweep.
//
//   begin() → append()* → verify() → publish()      or  give_up()

#include <cstdint>
#include <memory>

#include "base/hasher.hpp"
#include "registry/registry.hpp"

namespace stele {

// Used by one coroutine at a time.
class Arrival {
 public:
  Arrival(const RegistryContext& context, RepositoryName repository, Digest digest);
  Arrival(const Arrival&) = delete;
  Arrival& operator=(const Arrival&) = delete;
  ~Arrival();

  // no_space, io, read_only.
  Task<Result<void>> begin();
  // The file, for readers behind size(). Stays readable whatever becomes of the arrival.
  std::shared_ptr<const BlobReader> reader() const { return reader_; }
  std::uint64_t size() const { return size_; }

  // `bytes` stays as it is until this returns. All or nothing.
  Task<Result<void>> append(ByteView bytes);
  // Whether everything appended is what the digest says: digest_mismatch.
  Result<void> verify() const;
  // Durable, in the repository, and known to the catalog when this returns. Only after verify().
  Task<Result<void>> publish(audit::Actor actor);
  Task<void> give_up();

 private:
  Result<void> store();

  const RegistryContext context_;
  const RepositoryName repository_;
  const Digest digest_;
  const UploadId id_;
  Hasher hasher_;
  std::uint64_t size_ = 0;
  std::unique_ptr<BlobWriter> writer_;
  std::shared_ptr<const BlobReader> reader_;
  bool done_ = false;
};

}  // namespace stele
