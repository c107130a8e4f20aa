#include "registry/leases.hpp"

namespace stele {

Leases::Leases(const Clock& clock)
    : clock_(clock), started_(seconds_now()), taken_(std::make_unique<std::atomic<std::uint32_t>[]>(slots)) {}

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

bool Leases::held(const Digest& digest) const {
  const std::int64_t age = seconds_now() - started_;
  if (age < duration_seconds) return true;
  const std::uint32_t taken = taken_[slot_of(digest)].load();
  return taken != 0 && age + 1 - static_cast<std::int64_t>(taken) < duration_seconds;
}

}  // namespace stele
