#include "registry/buffer_budget.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <new>

namespace stele {

namespace {

// Larger ones are mapped, not allocated: their memory goes back to the system at once, whatever the allocator
// would keep.
constexpr std::size_t map_from = 128 * 1024;

}  // namespace

BufferBudget::Buffer::Buffer(BufferBudget& budget, std::size_t size) : budget_(budget), size_(size) {
  budget_.used_.fetch_add(size_, std::memory_order_relaxed);
  if (size_ < map_from) {
    memory_ = new std::byte[size_];
    return;
  }
  void* mapped = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) {
    budget_.used_.fetch_sub(size_, std::memory_order_relaxed);
    throw std::bad_alloc();
  }
  memory_ = static_cast<std::byte*>(mapped);
}

BufferBudget::Buffer::~Buffer() {
  if (size_ < map_from) {
    delete[] memory_;
  } else {
    ::munmap(memory_, size_);
  }
  budget_.used_.fetch_sub(size_, std::memory_order_relaxed);
}

std::size_t BufferBudget::next_size(std::size_t expected_bytes) const {
  const std::size_t used = used_.load(std::memory_order_relaxed);
  const std::size_t left = used < total_bytes ? total_bytes - used : 0;
  std::size_t size = smallest;
  while (size * 2 <= std::min(left / 16, largest)) size *= 2;
  // A small body needs no large buffer; one page at least.
  while (size > 4096 && size / 2 >= expected_bytes) size /= 2;
  return size;
}

}  // namespace stele
