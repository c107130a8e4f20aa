#include "server/housekeeping.hpp"

#include <pthread.h>

#include <algorithm>

namespace stele {

Housekeeping::Housekeeping(std::vector<Duty> duties)
    : duties_(std::move(duties)), thread_([this] { run(); }) {
  pthread_setname_np(thread_.native_handle(), "stele-house");
}

Housekeeping::~Housekeeping() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Housekeeping::run() {
  using Clock = std::chrono::steady_clock;
  std::vector<Clock::time_point> due;
  for (const Duty& duty : duties_) due.push_back(Clock::now() + duty.first);
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const auto next = std::min_element(due.begin(), due.end());
    if (changed_.wait_until(lock, *next, [&] { return stopping_; })) return;
    lock.unlock();
    const auto index = static_cast<std::size_t>(next - due.begin());
    duties_[index].work();
    *next = Clock::now() + duties_[index].every;
    lock.lock();
  }
}

}  // namespace stele
