#pragma once
// Leases (I5): what somebody looked at or pushed lately is not garbage, even before it is referenced.
// Registered at no cost in writes: one atomic store into a fixed table.

#include <atomic>
#include <cstdint>
#include <memory>

#include "base/clock.hpp"
#include "base/digest.hpp"

namespace stele {

// Thread-safe and bounded. Two digests may share a slot: then one keeps the other leased, which only ever
// delays collection. The collector marks, then looks at the leases, then removes; a reader registers, then
// reads the row.
class Leases {
 public:
  static constexpr std::int64_t duration_seconds = 24 * 60 * 60;

  explicit Leases(const Clock& clock);

  void take(const Digest& digest);
  // True for a digest taken within duration_seconds, and for every digest during the first such period after
  // the start: the table does not survive a restart.
  bool held(const Digest& digest) const;

 private:
  static constexpr std::size_t slots = std::size_t{1} << 20;
  static std::size_t slot_of(const Digest& digest);
  std::int64_t seconds_now() const;

  const Clock& clock_;
  const std::int64_t started_;
  // Seconds since started_, plus one; 0: never. 4 MiB, touched as it is used.
  std::unique_ptr<std::atomic<std::uint32_t>[]> taken_;
};

}  // namespace stele
