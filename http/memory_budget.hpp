#pragma once
// What connections keep in memory, in both directions, comes out of one budget (I10): request bodies that are
// read whole, and answers until their last byte has left. Whoever reads or writes slowly keeps his part for
// as long as that takes; when there is none left, a request is answered 503 and tried again later.

#include <atomic>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace stele::http {

// Thread-safe. Outlives what it gave out.
class MemoryBudget {
 public:
  // Not counted: it fits into a socket's own buffer.
  static constexpr std::size_t too_small_to_count = 4 * 1024;
  // Parts above this get at most three quarters of the budget, so that a few large ones do not keep out the
  // many small ones.
  static constexpr std::size_t large = 64 * 1024;

  // What a request is told that finds none left.
  static constexpr std::string_view spent =
      "the server holds as many requests and answers in memory as it may; try again";

  explicit MemoryBudget(std::size_t bytes) : bytes_(bytes) {}
  MemoryBudget(const MemoryBudget&) = delete;
  MemoryBudget& operator=(const MemoryBudget&) = delete;

  // One request's or answer's part; given back when it goes. Not thread-safe.
  class Part {
   public:
    explicit Part(MemoryBudget& budget) : budget_(budget) {}
    ~Part() { budget_.used_.fetch_sub(reserved_, std::memory_order_relaxed); }
    Part(const Part&) = delete;
    Part& operator=(const Part&) = delete;
    // Makes it at least `bytes` large. False: the budget does not have them, and nothing changes.
    bool grow_to(std::size_t bytes);

   private:
    MemoryBudget& budget_;
    std::size_t reserved_ = 0;
  };

  // `text`, or the equal one that another answer holds: `key` says which are equal. Null: the budget does not
  // have room for it.
  std::shared_ptr<const std::string> share(const std::string& key, std::string text);

  std::size_t used() const { return used_.load(std::memory_order_relaxed); }

 private:
  struct Shared;
  const std::size_t bytes_;
  std::atomic<std::size_t> used_{0};
  std::mutex mutex_;
  std::map<std::string, std::weak_ptr<const Shared>> shared_;
};

}  // namespace stele::http
