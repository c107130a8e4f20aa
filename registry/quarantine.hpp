#pragma once
// Blobs whose stored bytes were found to be wrong or missing (I6). Until somebody pushes them again they are
// not there: HEAD and GET answer 404, so that a client uploads them anew, mounts do not find them, and a
// manifest that needs them is refused as one whose blob is missing. What refers to them stays as it is.
//
// A set in memory, of what the rows of `quarantine` say. Whoever changes a row changes the set too, while it
// holds the digest's lock: an entry is added before its row is committed and taken out after.

#include <atomic>
#include <cstddef>
#include <mutex>
#include <set>
#include <vector>

#include "base/digest.hpp"
#include "base/error.hpp"
#include "base/result.hpp"
#include "storage/sql/database.hpp"

namespace stele {

// Thread-safe.
class Quarantine {
 public:
  // What the catalog says; before anything is served.
  Result<void> load(sql::Database&);

  // One load while nothing is in quarantine.
  bool holds(const Digest& digest) const {
    return size_.load(std::memory_order_acquire) != 0 && listed(digest);
  }
  std::size_t size() const { return size_.load(std::memory_order_relaxed); }
  void add(const Digest&);
  void remove(const Digest&);

  // Somebody met a file that cannot be right: the scrub looks at it next. Forgotten when more than
  // most_suspects wait; whoever meets it again says it again.
  void suspect(const Digest&);
  std::vector<Digest> take_suspects();

  static constexpr std::size_t most_suspects = 1000;

 private:
  bool listed(const Digest&) const;

  std::atomic<std::size_t> size_{0};
  mutable std::mutex mutex_;
  std::set<Digest> digests_;
  std::set<Digest> suspects_;
};

// What whoever asks for such a blob is told: blob_unknown.
Error in_quarantine(const Digest&);

}  // namespace stele
