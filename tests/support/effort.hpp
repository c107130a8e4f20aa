#pragma once
// How much of an exhaustive test runs. TEST_EVERY=n in the environment (no STELE_ before it: those name keys
// of the server's configuration): of what it would try, each n-th; the sanitizers' runs in CI set it, where
// one case costs ten times as much. Everything otherwise.

#include <cstdlib>

namespace stele {

inline unsigned test_every() {
  const char* const text = std::getenv("TEST_EVERY");
  const long every = text ? std::atol(text) : 1;
  return every < 1 ? 1 : static_cast<unsigned>(every);
}

// Where the n-th list of cases begins, counted from 1, so that different lists leave out different ones.
inline unsigned test_first(unsigned list) {
  return 1 + list % test_every();
}

}  // namespace stele
