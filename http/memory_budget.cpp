#include "http/memory_budget.hpp"

#include <utility>

namespace stele::http {

bool MemoryBudget::Part::grow_to(std::size_t bytes) {
  if (bytes <= reserved_) return true;
  const std::size_t more = bytes - reserved_;
  const std::size_t room = bytes > large ? budget_.bytes_ / 4 * 3 : budget_.bytes_;
  std::size_t used = budget_.used_.load(std::memory_order_relaxed);
  do {
    if (more > room || used > room - more) return false;
  } while (!budget_.used_.compare_exchange_weak(used, used + more, std::memory_order_relaxed));
  reserved_ = bytes;
  return true;
}

struct MemoryBudget::Shared {
  Shared(MemoryBudget& owner, std::string name, std::string content)
      : budget(owner), key(std::move(name)), text(std::move(content)), part(owner) {}
  ~Shared() {
    const std::lock_guard lock(budget.mutex_);
    const auto found = budget.shared_.find(key);
    // Another one may have come in its place.
    if (found != budget.shared_.end() && found->second.expired()) budget.shared_.erase(found);
  }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;

  MemoryBudget& budget;
  const std::string key;
  const std::string text;
  Part part;
};

std::shared_ptr<const std::string> MemoryBudget::share(const std::string& key, std::string text) {
  auto own = std::make_shared<Shared>(*this, key, std::move(text));
  std::shared_ptr<const Shared> kept;
  {
    const std::lock_guard lock(mutex_);
    std::weak_ptr<const Shared>& place = shared_[key];
    kept = place.lock();
    if (!kept && own->part.grow_to(own->text.size())) {
      kept = own;
      place = kept;
    } else if (!kept) {
      shared_.erase(key);
    }
  }
  // `own` goes without the lock, when it was not needed.
  if (!kept) return nullptr;
  const std::string* content = &kept->text;
  return {std::move(kept), content};
}

}  // namespace stele::http
