#pragma once
// Leases (I5): what somebody looked at or pushed lately is not garbage, even before it is referenced.
// Registered at no cost in writes: one atomic store into a fixed table.
//
// A reader registers, then looks whether the content is being removed; if it is, waits until that has ended;
// then reads the row. A collector marks, then looks at the leases, then removes the row, and lets the mark go
// once that is committed. In whatever order the two meet, either the collector sees the lease or the reader
// finds the row as the removal left it, or as somebody made it anew since.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "base/clock.hpp"
#include "base/digest.hpp"
#include "base/reference.hpp"

namespace stele {

// Thread-safe and bounded. Two digests may share a slot: then one keeps the other leased, which only ever
// delays collection.
class Leases {
 public:
  static constexpr std::int64_t default_seconds = 24 * 60 * 60;

  explicit Leases(const Clock& clock, std::int64_t seconds = default_seconds);

  // How long a lease lasts, and how long whatever may be garbage waits before it is looked at.
  std::int64_t seconds() const { return seconds_; }
  std::int64_t microseconds() const { return seconds_ * 1'000'000; }

  void take(const Digest& digest);
  // True for a digest taken within seconds(), and for every digest while settling().
  bool leased(const Digest& digest) const;
  // The first such period after the start: the table does not survive a restart, so everything counts as
  // leased.
  bool settling() const;

  // What a collector is about to remove. The marks are taken back when it goes, so it outlives the commit.
  // Not for two threads at once.
  class Removal {
   public:
    explicit Removal(Leases& leases) : leases_(leases) {}
    ~Removal();
    Removal(const Removal&) = delete;
    Removal& operator=(const Removal&) = delete;
    // Marks it. False: somebody has a lease, in whatever repository, and it is marked no longer.
    bool mark(const RepositoryName& repository, const Digest& digest);
    // The removal was given up: nothing is marked any more.
    void clear();

   private:
    Leases& leases_;
    std::set<std::string> marked_;
  };

  // To be asked after take(): the row says nothing yet. Costs one load while nothing is being removed. Of
  // this repository: what another one loses stays here.
  bool being_removed(const RepositoryName& repository, const Digest& digest) const;
  // Blocks until it is not, which is the time of a commit. False: that took longer than longest_removal.
  bool await_removal(const RepositoryName& repository, const Digest& digest) const;
  static constexpr std::chrono::seconds longest_removal{1};
  // Removals that have ended. Who learns the digest only from the row he reads compares before and after, and
  // reads again.
  std::uint64_t removals() const { return removals_.load(); }

 private:
  static constexpr std::size_t slots = std::size_t{1} << 20;
  static std::size_t slot_of(const Digest& digest);
  static std::string mark_of(const RepositoryName& repository, const Digest& digest);
  std::int64_t seconds_now() const;

  const Clock& clock_;
  const std::int64_t seconds_;
  const std::int64_t started_;
  // Seconds since started_, plus one; 0: never. 4 MiB, touched as it is used.
  std::unique_ptr<std::atomic<std::uint32_t>[]> taken_;
  std::atomic<std::size_t> marks_{0};
  std::atomic<std::uint64_t> removals_{0};
  mutable std::mutex mutex_;
  mutable std::condition_variable ended_;
  std::multiset<std::string> marked_;
};

}  // namespace stele
