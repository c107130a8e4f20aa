#pragma once
// Where blob content lives. Files are only written once: an upload is written under its session's name, and
// publish() gives it the name of what it contains. A published blob never changes; it is removed or it is
// right (I6).
//
//   create() → BlobWriter::append()* → sync() → publish()      or  discard()
//              resume() after a restart ↑
//
// Every call blocks and belongs on the disk pool. Errors: no_space (ENOSPC, EDQUOT), io (EIO and the rest),
// read_only (the latch is closed), blob_unknown / upload_unknown (no such file).

#include <cstdint>
#include <functional>
#include <memory>

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/digest.hpp"
#include "base/reference.hpp"
#include "base/result.hpp"

namespace stele {

// Open for reading. Stays readable after remove() for as long as it is held. Thread-safe.
class BlobReader {
 public:
  virtual ~BlobReader() = default;
  virtual std::uint64_t size() const = 0;
  // A descriptor for sendfile, owned by the reader; -1 when the content is not a local file.
  virtual int fd() const = 0;
  // Fills `out` from `offset` as far as the content goes; the number of bytes read.
  virtual Result<std::size_t> read_at(std::uint64_t offset, ByteSpan out) const = 0;
  // The same for whoever reads everything once: what was not in memory before is not kept there for it, as
  // far as that can be told.
  virtual Result<std::size_t> read_once(std::uint64_t offset, ByteSpan out) const {
    return read_at(offset, out);
  }
};

// The bytes of one upload session, appended in order. Not thread-safe. Destroying it closes the file and
// keeps it.
class BlobWriter {
 public:
  virtual ~BlobWriter() = default;
  virtual std::uint64_t size() const = 0;
  // All or nothing: after an error the file is cut back to size(), and where even that failed every later
  // call fails.
  virtual Result<void> append(ByteView) = 0;
  // Everything appended so far is durable when this returns. A failure closes the latch and is never retried.
  virtual Result<void> sync() = 0;
};

struct SpaceInfo {
  std::uint64_t total_bytes = 0;
  std::uint64_t available_bytes = 0;  // to us, without the blocks reserved for root
};

// Thread-safe; calls for one digest or one session must be serialised by the caller (registry/ holds the
// locks).
class BlobStore {
 public:
  virtual ~BlobStore() = default;

  virtual Result<std::unique_ptr<BlobReader>> open(const Digest&) = 0;

  virtual Result<std::unique_ptr<BlobWriter>> create(const UploadId&) = 0;
  // Cuts the file to `size` and appends from there. upload_unknown when the file is missing or shorter: the
  // bytes that were acknowledged are gone, and the session ends.
  virtual Result<std::unique_ptr<BlobWriter>> resume(const UploadId&, std::uint64_t size) = 0;
  // For the one case in which an upload is read again: a digest algorithm that appears only at the end.
  virtual Result<std::unique_ptr<BlobReader>> open_upload(const UploadId&) = 0;
  // The synced upload becomes the blob, durably, the directory entry included (rename, then fsync of the
  // directory and of every directory made for it). Replaces an orphan file of the same name. `stays`: the
  // upload stays as well, under a second name of the same content, until the caller discards it; for uploads
  // whose acknowledged bytes must survive until the catalog has the blob. A crash may leave a third name in
  // uploads/, which the sweep removes like any upload that nobody knows.
  enum class Upload { moves, stays };
  virtual Result<void> publish(const UploadId&, const Digest&, Upload upload = Upload::moves) = 0;
  // Not an error when there is nothing.
  virtual Result<void> discard(const UploadId&) = 0;
  virtual Result<void> remove(const Digest&) = 0;
  // The blob's content is taken out of the store and kept beside it, for people to look at: in a directory as
  // quarantine/<algorithm>/<hex>, where it takes the place of an earlier one. blob_unknown when there is
  // none.
  virtual Result<void> set_aside(const Digest&) = 0;

  struct UploadFile {
    UploadId id;
    std::uint64_t size;
    Timestamp modified;
  };
  struct BlobFile {
    Digest digest;
    std::uint64_t size;
    Timestamp modified;
  };
  // For the sweep. Files whose names are neither are left alone and reported through `foreign` (a path below
  // the data directory). The callbacks may remove what they are shown.
  virtual Result<void> list_uploads(const std::function<void(const UploadFile&)>&,
                                    const std::function<void(const std::string&)>& foreign) = 0;
  virtual Result<void> list_blobs(const std::function<void(const BlobFile&)>&,
                                  const std::function<void(const std::string&)>& foreign) = 0;

  virtual Result<SpaceInfo> space() = 0;
};

}  // namespace stele
