#include "registry/buffer_budget.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <new>
#include <string>

namespace stele {

namespace {

// Larger ones are mapped, not allocated: their memory goes back to the system at once, whatever the allocator
// would keep.
constexpr std::size_t map_from = 128 * 1024;

}  // namespace

BufferBudget::Buffer::Buffer(Part part, std::size_t size) : part_(std::move(part)), size_(size) {
  if (size_ < map_from) {
    memory_ = new std::byte[size_];
    return;
  }
  void* mapped = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  memory_ = static_cast<std::byte*>(mapped);
}

BufferBudget::Buffer::~Buffer() {
  if (size_ < map_from) {
    delete[] memory_;
  } else {
    ::munmap(memory_, size_);
  }
}

std::optional<BufferBudget::Part> BufferBudget::part(std::size_t bytes) {
  std::size_t used = used_.load(std::memory_order_relaxed);
  do {
    if (bytes > total_bytes - used) return std::nullopt;
  } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
  return Part(*this, bytes);
}

std::unique_ptr<BufferBudget::Buffer> BufferBudget::buffer(std::size_t size) {
  auto taken = part(size);
  return taken ? std::make_unique<Buffer>(std::move(*taken), size) : nullptr;
}

Task<BufferBudget::Turn> BufferBudget::turn() {
  const std::size_t number = next_turn_.fetch_add(1, std::memory_order_relaxed) % turns;
  auto guard = co_await turns_.lock(std::to_string(number));
  co_return Turn(std::move(guard));
}

std::size_t BufferBudget::next_size(std::size_t expected_bytes) const {
  const std::size_t left = total_bytes - used();
  std::size_t size = smallest;
  while (size * 2 <= std::min(left / 16, largest)) size *= 2;
  // A small body needs no large buffer; one page at least.
  while (size > 4096 && size / 2 >= expected_bytes) size /= 2;
  return size;
}

}  // namespace stele
