#include "storage/store_latch.hpp"

namespace stele {

void StoreLatch::close(std::string reason) {
  const std::lock_guard lock(mutex_);
  if (reason_.empty()) reason_ = std::move(reason);
  closed_.store(true, std::memory_order_release);
}

std::string StoreLatch::reason() const {
  const std::lock_guard lock(mutex_);
  return reason_;
}

Result<void> StoreLatch::check() const {
  if (!closed()) return {};
  return Error(Errc::read_only, "the store is read-only since " + reason() +
                                    "; check the disk, then restart stele to accept writes again");
}

}  // namespace stele
