#pragma once
// Waiting for what another thread does. The minutes only end a wait for what will not come.

#include <chrono>
#include <thread>

namespace stele {

template <class F>
bool eventually(F condition) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::minutes(2);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace stele
