#pragma once
// Upload buffers out of one budget: large while few uploads run, small when many do, so that 64 transfers of
// 1 GB fit into a few dozen megabytes (I10).

#include <atomic>
#include <cstddef>

#include "base/bytes.hpp"

namespace stele {

// Thread-safe.
class BufferBudget {
 public:
  static constexpr std::size_t total_bytes = 18 * 1024 * 1024;
  static constexpr std::size_t largest = 1024 * 1024;
  static constexpr std::size_t smallest =
      64 * 1024;  // given even when the budget is spent: connections are bounded

  // Returns its memory to the system and to the budget when it goes.
  class Buffer {
   public:
    Buffer(BufferBudget& budget, std::size_t size);
    ~Buffer();
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    ByteSpan span() const { return {memory_, size_}; }

   private:
    BufferBudget& budget_;
    std::size_t size_;
    std::byte* memory_;
  };

  // The size for the next buffer: a sixteenth of what is left, within the bounds.
  std::size_t next_size(std::size_t expected_bytes) const;

 private:
  std::atomic<std::size_t> used_{0};
};

}  // namespace stele
