#pragma once
// Is a blob's file what its row and its digest say? And what happens when it is not: the blob goes into
// quarantine (registry/quarantine.hpp), its file aside, and its bytes are fetched again where somebody has
// them.

#include <cstdint>
#include <functional>
#include <string>

#include "audit/event_log.hpp"
#include "gc/blob_source.hpp"
#include "registry/context.hpp"

namespace stele::gc {

struct FileFinding {
  enum class Kind {
    right,
    missing,
    wrong,    // another size or another hash, or its bytes cannot be read
    unknown,  // it could not be opened: that says nothing about its bytes
    stopped,  // the reader gave up
  };
  Kind kind = Kind::right;
  std::string problem;  // for people
};

enum class Thoroughness {
  size,     // the file is there and as long as it should be
  content,  // its bytes are hashed
};

// Called after each piece that was read, with its size; false: give up.
using ReadPace = std::function<bool(std::uint64_t bytes)>;

// Blocks. Keeps nothing in memory that was not there before.
FileFinding look_at_file(BlobStore&, const Digest&, std::uint64_t size, Thoroughness, const ReadPace& pace);

enum class Verdict {
  right,
  gone,         // it has no row any more, or is being removed: whatever became of its file is no damage
  quarantined,  // just now
  known,        // it is in quarantine since earlier, rightly
  released,     // it was in quarantine, and its bytes are right again
  unknown,      // its file could not be opened
  stopped,      // whoever looked gave up
};

struct CheckedBlob {
  Verdict verdict = Verdict::right;
  std::string problem;
};

// Thread-safe. `source` may be null; all of it outlives this.
class BlobCheck {
 public:
  // `pace`: called by other threads, while they hold the digest's lock.
  BlobCheck(const RegistryContext& context, Uploads& uploads, BlobSource* source, ReadPace pace = {})
      : context_(context), uploads_(uploads), source_(source), pace_(std::move(pace)) {}

  // The verdict: the file is looked at under the digest's lock, so that neither a removal nor a push is taken
  // for damage. Errors of the catalog; then nothing has changed.
  Task<Result<CheckedBlob>> judge(Digest, Thoroughness, audit::Actor);
  // Only looks: a right file of a blob in quarantine counts as right.
  Task<Result<CheckedBlob>> look(Digest, Thoroughness);

  // Pushes the blob again from the source, if there is one that has it: true, it is mended.
  Task<Result<bool>> repair(Digest, audit::Actor);

 private:
  Task<Result<CheckedBlob>> check(Digest, Thoroughness, const audit::Actor* actor);
  Task<Result<void>> quarantine(const Digest&, const std::string& problem, const audit::Actor&);
  Task<Result<void>> release(const Digest&, std::uint64_t size, const audit::Actor&);

  const RegistryContext context_;
  Uploads& uploads_;
  BlobSource* const source_;
  const ReadPace pace_;
};

}  // namespace stele::gc
