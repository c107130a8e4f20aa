#pragma once
// Time as the catalog stores it: microseconds since 1970-01-01T00:00:00Z.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace stele {

struct Timestamp {
  std::int64_t microseconds = 0;
  friend auto operator<=>(const Timestamp&, const Timestamp&) = default;
};

inline Timestamp operator+(Timestamp t, std::int64_t microseconds) {
  return {t.microseconds + microseconds};
}

// RFC 3339 in UTC with milliseconds: 2026-11-23T05:55:27.120Z.
std::string to_string(Timestamp);

// Parses RFC 3339 (section 5.6) with any offset; parameter_invalid otherwise.
Result<Timestamp> parse_timestamp(std::string_view text);

// Where the time comes from, so that tests can set it. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Timestamp now() const = 0;
};

// CLOCK_REALTIME.
class SystemClock final : public Clock {
 public:
  Timestamp now() const override;
};

// CLOCK_BOOTTIME: since the machine was started, sleep included; nobody sets it.
class BootClock final : public Clock {
 public:
  Timestamp now() const override;
};

}  // namespace stele
