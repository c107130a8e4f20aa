#include "policy/cron.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <limits>
#include <optional>
#include <vector>

#include "base/printable.hpp"

namespace stele::policy {
namespace {

constexpr std::string_view month_names[] = {"jan", "feb", "mar", "apr", "may", "jun",
                                            "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::string_view weekday_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
constexpr std::int64_t minute = 60'000'000;
constexpr std::int64_t day = 24 * 60 * minute;
// 400 years: then the calendar, weekdays included, repeats.
constexpr std::int64_t days_of_cycle = 146'097;
constexpr std::int64_t last_day = 2'932'896;  // 9999-12-31

struct Field {
  std::string_view what;
  int lowest;
  int highest;
  std::span<const std::string_view> names;  // of the lowest and those after it
};
constexpr Field fields[] = {{"minute", 0, 59, {}},
                            {"hour", 0, 23, {}},
                            {"day of the month", 1, 31, {}},
                            {"month", 1, 12, month_names},
                            {"day of the week", 0, 7, weekday_names}};

Error invalid(std::string_view text, const std::string& why) {
  return Error(Errc::parameter_invalid, in_quotes(text) + " " + why);
}

std::vector<std::string_view> split(std::string_view text, char by) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t end = text.find(by);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> parts = split(text, ' ');
  std::erase(parts, std::string_view());
  return parts;
}

std::optional<int> parse_number(std::string_view text) {
  int number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || text.front() == '-' || failed != std::errc() || end != text.data() + text.size())
    return std::nullopt;
  return number;
}

std::optional<int> parse_value(std::string_view text, const Field& field) {
  if (const auto number = parse_number(text))
    return *number >= field.lowest && *number <= field.highest ? number : std::nullopt;
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  for (std::size_t i = 0; i < field.names.size(); ++i) {
    if (lower == field.names[i]) return field.lowest + static_cast<int>(i);
  }
  return std::nullopt;
}

struct Range {
  int first;
  int last;
};

std::optional<Range> parse_range(std::string_view text, const Field& field) {
  const std::size_t dash = text.find('-');
  const auto first = parse_value(text.substr(0, dash), field);
  if (!first) return std::nullopt;
  if (dash == std::string_view::npos) return Range{*first, *first};
  auto last = parse_value(text.substr(dash + 1), field);
  if (!last) return std::nullopt;
  if (field.highest == 7 && *last == 0) last = 7;  // a range to Sunday ends with the week
  if (*first > *last) return std::nullopt;
  return Range{*first, *last};
}

// The values that one field names, by number.
Result<std::bitset<60>> parse_field(std::string_view text, const Field& field) {
  const auto bad = [&](std::string_view part) {
    return invalid(part, "is no " + std::string(field.what) + "; write " + std::to_string(field.lowest) +
                             " to " + std::to_string(field.highest) + ", a range, * or a step such as */2");
  };
  std::bitset<60> values;
  for (const std::string_view part : split(text, ',')) {
    const std::size_t slash = part.find('/');
    const std::string_view span = part.substr(0, slash);
    int step = 1;
    if (slash != std::string_view::npos) {
      const auto number = parse_number(part.substr(slash + 1));
      if (!number || *number < 1 || *number > field.highest) return bad(part);
      if (span != "*" && span.find('-') == std::string_view::npos)
        return invalid(part, "has a step without a range; write " + std::string(span) + "-" +
                                 std::to_string(field.highest) + "/" + std::to_string(*number));
      step = *number;
    }
    const auto range = span == "*" ? Range{field.lowest, field.highest} : parse_range(span, field);
    if (!range) return bad(part);
    for (int value = range->first; value <= range->last; value += step)
      values.set(static_cast<std::size_t>(value));
  }
  return values;
}

template <std::size_t N>
std::bitset<N> narrowed(const std::bitset<60>& values) {
  std::bitset<N> result;
  for (std::size_t i = 0; i < N && i < values.size(); ++i) result[i] = values[i];
  return result;
}

std::bitset<7> weekdays_of(const std::bitset<60>& values) {
  std::bitset<7> weekdays = narrowed<7>(values);
  if (values[7]) weekdays.set(0);
  return weekdays;
}

std::size_t weekday_of(std::int64_t days_since_1970) {
  return static_cast<std::size_t>(((days_since_1970 + 4) % 7 + 7) % 7);  // 1970 began on a Thursday
}

std::int64_t floor_divide(std::int64_t value, std::int64_t by) {
  return value / by - (value % by < 0);
}

}  // namespace

Result<Schedule> Schedule::parse(std::string_view text) {
  const std::vector<std::string_view> parts = words(text);
  if (parts.size() != std::size(fields))
    return invalid(
        text,
        "is no schedule; write the five fields minute, hour, day of the month, month and day of the "
        "week, as in 0 3 * * *");
  std::bitset<60> values[std::size(fields)];
  for (std::size_t i = 0; i < parts.size(); ++i) {
    auto parsed = parse_field(parts[i], fields[i]);
    if (!parsed) return parsed.error();
    values[i] = *parsed;
  }
  Schedule schedule;
  schedule.text_ = std::string(text);
  schedule.minutes_ = values[0];
  schedule.hours_ = narrowed<24>(values[1]);
  schedule.days_ = narrowed<32>(values[2]);
  schedule.months_ = narrowed<13>(values[3]);
  schedule.weekdays_ = weekdays_of(values[4]);
  schedule.both_days_ = parts[2].starts_with('*') || parts[4].starts_with('*');
  for (std::int64_t date = 0; date < days_of_cycle; ++date) {
    if (schedule.matches_day(date)) return schedule;
  }
  return invalid(text, "never comes: no month that it names has such a day");
}

bool Schedule::matches_day(std::int64_t days_since_1970) const {
  const std::chrono::year_month_day date{std::chrono::sys_days{std::chrono::days{days_since_1970}}};
  if (!months_[static_cast<unsigned>(date.month())]) return false;
  const bool by_date = days_[static_cast<unsigned>(date.day())];
  const bool by_weekday = weekdays_[weekday_of(days_since_1970)];
  return both_days_ ? by_date && by_weekday : by_date || by_weekday;
}

Timestamp Schedule::next(Timestamp after) const {
  // The first full minute behind it.
  const std::int64_t start = after.microseconds < 0 ? 0 : after.microseconds / minute + 1;
  const std::int64_t minutes_of_day = day / minute;
  for (std::int64_t date = start / minutes_of_day; date <= last_day; ++date) {
    if (!matches_day(date)) continue;
    const std::int64_t earliest = std::max<std::int64_t>(0, start - date * minutes_of_day);
    for (std::int64_t time = earliest; time < minutes_of_day; ++time) {
      if (hours_[static_cast<std::size_t>(time / 60)] && minutes_[static_cast<std::size_t>(time % 60)])
        return Timestamp{(date * minutes_of_day + time) * minute};
    }
  }
  return Timestamp{std::numeric_limits<std::int64_t>::max()};
}

namespace {

// "05:00" in minutes; 24:00 is a time too.
std::optional<int> parse_time(std::string_view text) {
  const auto parts = split(text, ':');
  if (parts.size() != 2 || parts[0].size() != 2 || parts[1].size() != 2) return std::nullopt;
  const auto hour = parse_number(parts[0]), minutes = parse_number(parts[1]);
  if (!hour || !minutes || *minutes > 59 || *hour * 60 + *minutes > 1440) return std::nullopt;
  return *hour * 60 + *minutes;
}

}  // namespace

Result<Window> Window::parse(std::string_view text) {
  const auto bad = [&](const std::string& why) {
    return invalid(text, "is no window: " + why + "; write it as 22:00-05:00 or sat,sun 00:00-24:00");
  };
  const auto parts = words(text);
  if (parts.empty() || parts.size() > 2) return bad("it has a time and perhaps days before it");
  Window window;
  window.text_ = std::string(text);
  window.weekdays_.set();
  if (parts.size() == 2) {
    const auto days = parse_field(parts[0], fields[4]);
    if (!days) return bad(in_quotes(parts[0]) + " names no days of the week");
    window.weekdays_ = weekdays_of(*days);
  }
  const auto times = split(parts.back(), '-');
  const auto from = parse_time(times.front());
  const auto until = parse_time(times.back());
  if (times.size() != 2 || !from || !until || *from == 1440)
    return bad(in_quotes(parts.back()) + " is no time from 00:00 until 24:00");
  if (*from == *until) return bad("it ends when it begins");
  window.from_ = *from;
  window.until_ = *until;
  return window;
}

bool Window::contains(Timestamp t) const {
  const std::int64_t date = floor_divide(t.microseconds, day);
  const auto time = static_cast<int>((t.microseconds - date * day) / minute);
  const bool opens_today = weekdays_[weekday_of(date)];
  if (from_ < until_) return opens_today && time >= from_ && time < until_;
  return (opens_today && time >= from_) || (weekdays_[weekday_of(date - 1)] && time < until_);
}

bool is_open(std::span<const Window> windows, Timestamp t) {
  return windows.empty() || std::any_of(windows.begin(), windows.end(),
                                        [&](const Window& window) { return window.contains(t); });
}

}  // namespace stele::policy
