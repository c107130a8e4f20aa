#pragma once
// How many blobs one mirror fetches at once: `max_fetches`. Whoever comes beyond them waits for its turn.

#include <cstddef>
#include <deque>
#include <mutex>
#include <utility>

#include "base/pending.hpp"
#include "base/task.hpp"

namespace stele::mirror {

// Thread-safe. Outlives the slots that it gives.
class FetchSlots {
 public:
  explicit FetchSlots(std::size_t most) : most_(most) {}  // 0: any number

  // One of them, until it goes.
  class Slot {
   public:
    Slot() = default;
    Slot(Slot&& other) noexcept : of_(std::exchange(other.of_, nullptr)) {}
    Slot& operator=(Slot&& other) noexcept {
      std::swap(of_, other.of_);
      return *this;
    }
    ~Slot() {
      if (of_) of_->give_back();
    }

   private:
    friend class FetchSlots;
    explicit Slot(FetchSlots& of) : of_(&of) {}
    FetchSlots* of_ = nullptr;
  };

  // In the order in which they ask. Whoever has one must come to an end by itself, also at a stop: then those
  // who wait get their turn, and find that there is nothing to be had any more.
  Task<Slot> take();

  std::size_t waiting() const;

 private:
  void give_back();

  const std::size_t most_;
  mutable std::mutex mutex_;
  std::size_t taken_ = 0;
  std::deque<Completion<void>> waiting_;
};

}  // namespace stele::mirror
