#pragma once
// Internal to registry/: turns for reading what is large. Between the thread that reads it and the connection
// that takes it into its budget a result belongs to nobody's; were everybody read for at once, the results of
// hundreds would wait there together (I10). Whoever waits for a turn holds nothing yet.

#include <string>

#include "base/digest.hpp"
#include "registry/context.hpp"

namespace stele {

// Held from before the read until the caller has its result. Few at a time; equal digests share a turn.
inline KeyedMutex::Awaiter large_read_turn(const RegistryContext& context, const Digest& digest) {
  constexpr int turns = 4;
  const int digit = digest.hex().back() <= '9' ? digest.hex().back() - '0' : digest.hex().back() - 'a' + 10;
  return context.digest_locks.lock("large read " + std::to_string(digit % turns));
}

}  // namespace stele
