#include "base/clock.hpp"

#include <chrono>
#include <cstdio>
#include <ctime>

#include "base/printable.hpp"

namespace stele {

std::string to_string(Timestamp t) {
  std::int64_t seconds = t.microseconds / 1'000'000;
  std::int64_t rest = t.microseconds % 1'000'000;
  if (rest < 0) {
    rest += 1'000'000;
    --seconds;
  }
  const std::time_t time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  gmtime_r(&time, &parts);
  char text[64];
  const int length = std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
                                   parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour,
                                   parts.tm_min, parts.tm_sec, static_cast<int>(rest / 1000));
  return std::string(text, static_cast<std::size_t>(length));
}

namespace {

// Reads exactly `digits` decimal digits at `at` and moves behind them; -1 when they are not there.
int read_number(std::string_view text, std::size_t& at, std::size_t digits) {
  if (at + digits > text.size()) return -1;
  int value = 0;
  for (std::size_t i = 0; i < digits; ++i) {
    const char c = text[at + i];
    if (c < '0' || c > '9') return -1;
    value = value * 10 + (c - '0');
  }
  at += digits;
  return value;
}

bool skip(std::string_view text, std::size_t& at, std::string_view any_of) {
  if (at >= text.size() || any_of.find(text[at]) == std::string_view::npos) return false;
  ++at;
  return true;
}

}  // namespace

Result<Timestamp> parse_timestamp(std::string_view text) {
  const auto bad = [&] {
    return Error(Errc::parameter_invalid,
                 in_quotes(text) + " is not a time; write it as 2026-11-01T12:00:00Z (RFC 3339)");
  };
  using namespace std::chrono;
  std::size_t at = 0;
  const int year_part = read_number(text, at, 4);
  if (year_part < 0 || !skip(text, at, "-")) return bad();
  const int month_part = read_number(text, at, 2);
  if (month_part < 0 || !skip(text, at, "-")) return bad();
  const int day_part = read_number(text, at, 2);
  if (day_part < 0 || !skip(text, at, "Tt ")) return bad();
  const int hour = read_number(text, at, 2);
  if (hour < 0 || hour > 23 || !skip(text, at, ":")) return bad();
  const int minute = read_number(text, at, 2);
  if (minute < 0 || minute > 59 || !skip(text, at, ":")) return bad();
  const int second = read_number(text, at, 2);
  if (second < 0 || second > 60) return bad();
  std::int64_t fraction = 0;
  if (skip(text, at, ".")) {
    std::int64_t unit = 100'000;
    const std::size_t first = at;
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, unit /= 10)
      fraction += (text[at] - '0') * unit;
    if (at == first) return bad();
  }
  std::int64_t offset_minutes = 0;
  if (!skip(text, at, "Zz")) {
    const bool negative = at < text.size() && text[at] == '-';
    if (!skip(text, at, "+-")) return bad();
    const int hours = read_number(text, at, 2);
    if (hours < 0 || hours > 23 || !skip(text, at, ":")) return bad();
    const int minutes = read_number(text, at, 2);
    if (minutes < 0 || minutes > 59) return bad();
    offset_minutes = (hours * 60 + minutes) * (negative ? -1 : 1);
  }
  if (at != text.size()) return bad();
  const year_month_day date{year{year_part}, month{static_cast<unsigned>(month_part)},
                            day{static_cast<unsigned>(day_part)}};
  if (!date.ok()) return bad();
  const std::int64_t days = sys_days{date}.time_since_epoch().count();
  const std::int64_t seconds = ((days * 24 + hour) * 60 + minute - offset_minutes) * 60 + second;
  return Timestamp{seconds * 1'000'000 + fraction};
}

namespace {

Timestamp read_clock(clockid_t id) {
  std::timespec now{};
  clock_gettime(id, &now);
  return {std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000};
}

}  // namespace

Timestamp SystemClock::now() const {
  return read_clock(CLOCK_REALTIME);
}

Timestamp BootClock::now() const {
  return read_clock(CLOCK_BOOTTIME);
}

}  // namespace stele
