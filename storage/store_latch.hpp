#pragma once
// The read-only latch of I7: after a failed fsync nothing is known about what is on the disk, so nothing is
// written any more until the operator has looked and restarted.

#include <atomic>
#include <mutex>
#include <string>

#include "base/result.hpp"

namespace stele {

// Thread-safe. One per data directory, shared by the blob store and the catalog.
class StoreLatch {
 public:
  // Only the first reason is kept.
  void close(std::string reason);
  bool closed() const { return closed_.load(std::memory_order_acquire); }
  std::string reason() const;
  // read_only, with the reason and the next step, once closed.
  Result<void> check() const;

 private:
  std::atomic<bool> closed_{false};
  mutable std::mutex mutex_;
  std::string reason_;
};

}  // namespace stele
