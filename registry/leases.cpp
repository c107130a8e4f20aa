#include "registry/leases.hpp"

namespace stele {

Leases::Leases(const Clock& clock, std::int64_t seconds)
    : clock_(clock),
      seconds_(seconds),
      started_(seconds_now()),
      taken_(std::make_unique<std::atomic<std::uint32_t>[]>(slots)) {}

std::int64_t Leases::seconds_now() const {
  return clock_.now().microseconds / 1'000'000;
}

// Digests are random already: their first hex digits make the slot.
std::size_t Leases::slot_of(const Digest& digest) {
  std::size_t slot = 0;
  for (const char c : digest.hex().substr(0, 5)) {
    slot = slot * 16 + static_cast<std::size_t>(c <= '9' ? c - '0' : c - 'a' + 10);
  }
  return slot % slots;
}

void Leases::take(const Digest& digest) {
  const std::int64_t age = seconds_now() - started_;
  // A clock that was set back counts as no time passed: the lease is taken all the same.
  taken_[slot_of(digest)].store(static_cast<std::uint32_t>(age < 0 ? 1 : age + 1));
}

bool Leases::settling() const {
  return seconds_now() - started_ < seconds_;
}

bool Leases::leased(const Digest& digest) const {
  const std::int64_t age = seconds_now() - started_;
  if (age < seconds_) return true;
  const std::uint32_t taken = taken_[slot_of(digest)].load();
  // A whole second more: both times are cut to seconds.
  return taken != 0 && age - static_cast<std::int64_t>(taken) < seconds_;
}

std::string Leases::mark_of(const RepositoryName& repository, const Digest& digest) {
  return repository.str() + "@" + digest.str();
}

bool Leases::being_removed(const RepositoryName& repository, const Digest& digest) const {
  if (marks_.load() == 0) return false;
  const std::string mark = mark_of(repository, digest);
  const std::lock_guard lock(mutex_);
  return marked_.contains(mark);
}

bool Leases::await_removal(const RepositoryName& repository, const Digest& digest) const {
  const std::string mark = mark_of(repository, digest);
  std::unique_lock lock(mutex_);
  return ended_.wait_for(lock, longest_removal, [&] { return !marked_.contains(mark); });
}

bool Leases::Removal::mark(const RepositoryName& repository, const Digest& digest) {
  const std::string mark = mark_of(repository, digest);
  if (marked_.insert(mark).second) {
    const std::lock_guard lock(leases_.mutex_);
    leases_.marked_.insert(mark);
    leases_.marks_.fetch_add(1);
  }
  if (!leases_.leased(digest)) return true;
  marked_.erase(mark);
  {
    const std::lock_guard lock(leases_.mutex_);
    leases_.marked_.extract(mark);
    leases_.marks_.fetch_sub(1);
  }
  leases_.ended_.notify_all();
  return false;
}

void Leases::Removal::clear() {
  if (marked_.empty()) return;
  leases_.removals_.fetch_add(1);  // first: whoever finds no mark any more finds another number
  {
    const std::lock_guard lock(leases_.mutex_);
    for (const std::string& mark : marked_) leases_.marked_.extract(mark);
    leases_.marks_.fetch_sub(marked_.size());
  }
  leases_.ended_.notify_all();
  marked_.clear();
}

Leases::Removal::~Removal() {
  clear();
}

}  // namespace stele
