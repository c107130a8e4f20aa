#pragma once
// Internal to mirror/: one blob on its way from an upstream, and everybody who streams it meanwhile.

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>

#include "base/pending.hpp"
#include "http/growing_file.hpp"
#include "mirror/upstream.hpp"
#include "registry/arrival.hpp"

namespace stele::mirror {

// Begun once, then pumped to its end on the mirrors' thread whoever leaves.
class BlobFlight {
 public:
  BlobFlight(Upstream& upstream, const RegistryContext& context, RepositoryName stored, std::string remote,
             Digest digest);

  // Asks upstream; afterwards file() is there. `promised`: bytes that other fetches are still to write.
  // Errors: Upstream::ask and Arrival::begin; no_space as well when there is no room for the whole.
  Task<Result<void>> begin(std::uint64_t promised);
  // To the end: what was verified is in the registry, everything else was given up and its readers were
  // reset.
  Task<Result<void>> pump();

  const std::shared_ptr<http::GrowingFile>& file() const { return file_; }
  // Its readers were reset, or are just being: whoever comes now begins anew. Thread-safe.
  bool failed() const { return failed_.load(); }
  // Until pump() has ended, whatever became of the blob: its file being whole says only that it was verified.
  // Thread-safe, as is land(), which whoever pumps calls then.
  Task<Result<void>> landed();
  void land(Result<void> end);
  // Thread-safe once it has begun.
  RunningFetch progress() const;
  // Bytes that are still to be written, as far as the length is known. Thread-safe once it has begun.
  std::uint64_t outstanding() const;

 private:
  Result<void> find_room(std::uint64_t promised) const;
  Task<Result<void>> receive();
  // Asks again from where it broke off. False in a Result: upstream cannot continue; the error says why.
  Task<Result<void>> resume();
  Task<Result<void>> skip(std::uint64_t bytes);
  Error fail(Error error);

  Upstream& upstream_;
  const RepositoryName stored_;
  const std::string remote_;
  const Digest digest_;
  Arrival arrival_;
  std::size_t url_ = 0;
  std::optional<http::Fetched> fetched_;
  std::optional<std::uint64_t> length_;
  std::vector<std::byte> buffer_;
  std::shared_ptr<http::GrowingFile> file_;
  std::atomic<bool> failed_{false};
  std::atomic<std::uint64_t> arrived_{0};
  std::mutex mutex_;
  std::optional<Result<void>> end_;
  std::vector<Completion<void>> waiters_;
};

}  // namespace stele::mirror
