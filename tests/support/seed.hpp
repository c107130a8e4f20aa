#pragma once
// Where random tests begin. TEST_SEED=n in the environment (no STELE_ before it: those name keys of the
// server's configuration) is taken, as a failure or the log names it.

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <random>
#include <string_view>
#include <vector>

namespace stele {

inline std::optional<std::uint64_t> chosen_seed() {
  const char* const text = std::getenv("TEST_SEED");
  if (!text) return std::nullopt;
  return std::strtoull(text, nullptr, 10);
}

// The chosen one, or another each time. Said at once: a test that crashes says nothing afterwards.
inline std::uint64_t test_seed(std::string_view of) {
  const std::uint64_t seed = chosen_seed().value_or(std::random_device{}());
  std::cout << of << ": TEST_SEED=" << seed << std::endl;
  return seed;
}

// The chosen one alone, or 1 … last: for tests that draw the same each time, whose failures name the seed.
inline std::vector<std::uint64_t> test_seeds(std::uint64_t last) {
  if (const auto chosen = chosen_seed()) return {*chosen};
  std::vector<std::uint64_t> all;
  for (std::uint64_t seed = 1; seed <= last; ++seed) all.push_back(seed);
  return all;
}

}  // namespace stele
