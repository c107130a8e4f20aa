#pragma once
// The clock that releases retention locks: it never runs backwards, and no faster than the machine's own
// boot-time clock while the server runs, so that setting the machine's time forward opens nothing.

#include <mutex>
#include <optional>

#include "base/clock.hpp"

namespace stele {

// Thread-safe.
class ReleaseClock {
 public:
  // A time found at start that lies further ahead than this waits for an administrator.
  static constexpr std::int64_t largest_jump_seconds = 24 * 60 * 60;

  // `wall`: the machine's time. `boot`: runs evenly since the machine was started, also while it slept.
  // `highest`: the highest time that was ever seen; absent: there has been none. Both clocks outlive this.
  ReleaseClock(const Clock& wall, const Clock& boot, std::optional<Timestamp> highest = std::nullopt);

  // As if made anew: for the start of a server that has read `highest`.
  void begin(std::optional<Timestamp> highest);

  Timestamp now() const;

  // What the machine's clock said at start, when that is too far ahead to be believed and nobody has
  // confirmed it. Until then time goes on from the highest that was seen.
  std::optional<Timestamp> unconfirmed() const;

  // The machine's time is right.
  void confirm();

 private:
  const Clock& wall_;
  const Clock& boot_;
  mutable std::mutex mutex_;
  Timestamp base_;  // release time when boot_ said boot_base_
  Timestamp boot_base_;
  mutable Timestamp highest_;
  std::optional<Timestamp> unconfirmed_;
};

}  // namespace stele
