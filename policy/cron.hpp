#pragma once
// When lifecycle runs by itself: a schedule as cron writes it, and the windows of time that it must keep to.
// Everything in UTC.

#include <bitset>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace stele::policy {

// Five fields: minute, hour, day of the month, month, day of the week. Each is a list of numbers, ranges
// (1-5), `*`, and steps through one of the latter two (*/15, 8-18/2); months and days of the week have names
// too (jan, mon), in any case; Sunday is 0 or 7. As in cron, a day matches when either of the two day fields
// does, but when one of them begins with `*` it must match both.
class Schedule {
 public:
  // parameter_invalid, also for a date that never comes (31 February).
  static Result<Schedule> parse(std::string_view text);

  // The first time after `after`. Times before 1970 count as 1970; behind the year 9999 nothing comes, which
  // is said by the largest Timestamp.
  Timestamp next(Timestamp after) const;

  const std::string& text() const { return text_; }

 private:
  Schedule() = default;
  bool matches_day(std::int64_t days_since_1970) const;

  std::string text_;
  std::bitset<60> minutes_;
  std::bitset<24> hours_;
  std::bitset<32> days_;     // from 1
  std::bitset<13> months_;   // from 1
  std::bitset<7> weekdays_;  // Sunday is 0
  bool both_days_ = false;
};

// "22:00-05:00": every day, over midnight; "sat,sun 00:00-24:00"; "mon-fri 20:00-06:00", where the days are
// those on which the window opens. It holds its first minute and not its last.
class Window {
 public:
  static Result<Window> parse(std::string_view text);  // parameter_invalid

  bool contains(Timestamp) const;
  const std::string& text() const { return text_; }

 private:
  Window() = default;

  std::string text_;
  std::bitset<7> weekdays_;
  int from_ = 0;   // minutes of the day
  int until_ = 0;  // at most 1440; not behind from_: on the next day
};

// In one of them, or there are none.
bool is_open(std::span<const Window>, Timestamp);

}  // namespace stele::policy
