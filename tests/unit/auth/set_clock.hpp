#pragma once
// A clock that stands until a test moves it.

#include "base/clock.hpp"

namespace stele::auth {

class SetClock final : public Clock {
 public:
  Timestamp now() const override { return time; }
  void pass(std::int64_t seconds) { time = time + seconds * 1'000'000; }
  Timestamp time{1'800'000'000LL * 1'000'000};
};

}  // namespace stele::auth
