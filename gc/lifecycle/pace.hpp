#pragma once
// How much of a clean-up is done at a time: every push waits for its transactions (I10).

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "storage/sql/writer.hpp"

namespace stele::gc {

// While others write, or did within the last second, a transaction has a few manifests and the rest after it
// is longer. One clean-up's; not thread-safe.
class Pace {
 public:
  // Manifests of one transaction, about, of which each takes up to a millisecond.
  static constexpr std::size_t size_alone = 8;
  static constexpr std::size_t size_beside_others = 2;

  explicit Pace(const sql::Writer& writer, std::size_t alone = size_alone,
                std::size_t beside_others = size_beside_others);

  // Of the next transaction. Asked before each.
  std::size_t size();
  // What hangs together goes in one transaction, as long as it is not larger than this.
  std::size_t longest() const { return 10 * alone_; }
  // After a transaction that took `worked`, waiting for the writer included.
  std::chrono::steady_clock::duration rest(std::chrono::steady_clock::duration worked) const;

 private:
  using Instant = std::chrono::steady_clock::time_point;
  const sql::Writer& writer_;
  const std::size_t alone_;
  const std::size_t beside_others_;
  std::uint64_t writes_;  // at the last look
  Instant until_;         // until then others are taken to write
  bool beside_ = false;
};

}  // namespace stele::gc
