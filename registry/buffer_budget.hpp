#pragma once
// Upload buffers out of one budget: large while few uploads run, small when many do, so that 64 transfers of
// 1 GB fit into a few dozen megabytes (I10). Who finds it spent takes turns at a few more buffers, for what
// has already arrived, and holds none while the client lets it wait: however many are slow, all of them
// together hold no more than total_bytes and turns * smallest.

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

#include "base/bytes.hpp"
#include "base/keyed_mutex.hpp"
#include "base/task.hpp"

namespace stele {

// Thread-safe. Outlives what it gave out.
class BufferBudget {
 public:
  static constexpr std::size_t total_bytes = 18 * 1024 * 1024;
  static constexpr std::size_t largest = 1024 * 1024;
  static constexpr std::size_t smallest = 64 * 1024;
  static constexpr std::size_t turns = 64;

  // So many bytes of it; given back when it goes.
  class Part {
   public:
    Part(Part&& other) noexcept : budget_(other.budget_), bytes_(std::exchange(other.bytes_, 0)) {}
    Part& operator=(Part&& other) noexcept {
      std::swap(budget_, other.budget_);
      std::swap(bytes_, other.bytes_);
      return *this;
    }
    ~Part() { budget_->used_.fetch_sub(bytes_, std::memory_order_relaxed); }

   private:
    friend class BufferBudget;
    Part(BufferBudget& budget, std::size_t bytes) : budget_(&budget), bytes_(bytes) {}
    BufferBudget* budget_;
    std::size_t bytes_;
  };

  // Returns its memory to the system and to the budget when it goes.
  class Buffer {
   public:
    Buffer(Part part, std::size_t size);
    ~Buffer();
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    ByteSpan span() const { return {memory_, size_}; }

   private:
    const Part part_;
    const std::size_t size_;
    std::byte* memory_;
  };

  // A buffer beyond the budget, of `smallest`, for as long as it lives: never across a wait for a client.
  class Turn {
   public:
    explicit Turn(KeyedMutex::Guard guard) : guard_(std::move(guard)), memory_(new std::byte[smallest]) {}
    ByteSpan span() const { return {memory_.get(), smallest}; }

   private:
    KeyedMutex::Guard guard_;
    std::unique_ptr<std::byte[]> memory_;
  };

  // The size for the next buffer: a sixteenth of what is left, within the bounds.
  std::size_t next_size(std::size_t expected_bytes) const;
  // Nothing when the budget does not have so much.
  std::optional<Part> part(std::size_t bytes);
  std::unique_ptr<Buffer> buffer(std::size_t size);
  // Whoever comes first; waits while all are taken.
  Task<Turn> turn();

  std::size_t used() const { return used_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::size_t> used_{0};
  std::atomic<std::size_t> next_turn_{0};
  KeyedMutex turns_;
};

}  // namespace stele
