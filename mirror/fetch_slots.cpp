#include "mirror/fetch_slots.hpp"

#include <optional>

namespace stele::mirror {

Task<FetchSlots::Slot> FetchSlots::take() {
  if (most_ == 0) co_return Slot();
  std::optional<Pending<void>> turn;
  {
    const std::lock_guard lock(mutex_);
    if (taken_ < most_) {
      ++taken_;
    } else {
      Completion<void> completion;
      turn.emplace(completion.pending());
      waiting_.push_back(std::move(completion));
    }
  }
  if (turn) co_await *turn;  // it was handed over: still counted
  Slot slot(*this);
  co_return std::move(slot);
}

void FetchSlots::give_back() {
  std::optional<Completion<void>> next;
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.empty()) {
      --taken_;
    } else {
      next.emplace(std::move(waiting_.front()));
      waiting_.pop_front();
    }
  }
  if (next) next->set();
}

std::size_t FetchSlots::waiting() const {
  const std::lock_guard lock(mutex_);
  return waiting_.size();
}

}  // namespace stele::mirror
