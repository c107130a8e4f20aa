#include "policy/cron.hpp"

#include <limits>

#include "tests/support/catch.hpp"

namespace stele::policy {
namespace {

Timestamp at(const std::string& text) {
  return parse_timestamp(text).value();
}

TEST_CASE("cron: the next time of a schedule") {
  struct Row {
    std::string schedule;
    std::string after;
    std::string next;
  };
  const std::vector<Row> table{
      {"0 3 * * *", "2026-11-25T02:59:59Z", "2026-11-25T03:00:00Z"},
      {"0 3 * * *", "2026-11-25T03:00:00Z", "2026-11-26T03:00:00Z"},  // strictly after
      {"0 3 * * *", "2026-11-25T03:00:00.001Z", "2026-11-26T03:00:00Z"},
      {"* * * * *", "2026-12-31T23:59:30Z", "2027-01-01T00:00:00Z"},
      {"*/15 * * * *", "2026-11-25T10:01:00Z", "2026-11-25T10:15:00Z"},
      {"7-59/20 * * * *", "2026-11-25T10:30:00Z", "2026-11-25T10:47:00Z"},
      {"0 8-18/5,22 * * *", "2026-11-25T18:30:00Z", "2026-11-25T22:00:00Z"},
      {"30 4 1 * *", "2026-11-25T00:00:00Z", "2026-12-01T04:30:00Z"},
      {"0 0 * jan,JUL *", "2026-11-25T00:00:00Z", "2027-01-01T00:00:00Z"},
      {"0 0 29 2 *", "2026-11-25T00:00:00Z", "2028-02-29T00:00:00Z"},
      {"0 0 29 feb *", "2097-01-01T00:00:00Z", "2104-02-29T00:00:00Z"},  // 2100 is no leap year
      {"0 0 * * mon", "2026-11-25T00:00:00Z", "2026-11-30T00:00:00Z"},
      {"0 0 * * 0", "2026-11-25T00:00:00Z", "2026-11-29T00:00:00Z"},
      {"0 0 * * 7", "2026-11-25T00:00:00Z", "2026-11-29T00:00:00Z"},
      {"0 0 * * fri-sun", "2026-11-29T00:00:00Z", "2026-12-04T00:00:00Z"},
      {"0 0 * * 5-7", "2026-11-28T00:00:00Z", "2026-11-29T00:00:00Z"},
      // Day of the month or of the week, when both are named.
      {"0 0 13 * fri", "2026-11-25T00:00:00Z", "2026-11-27T00:00:00Z"},
      {"0 0 13 * fri", "2026-12-12T00:00:00Z", "2026-12-13T00:00:00Z"},
      // Both, when one of them begins with a star.
      {"0 0 */2 * mon", "2026-11-25T00:00:00Z", "2026-12-07T00:00:00Z"},
      {"0 0 31 2 mon", "2026-11-25T00:00:00Z", "2027-02-01T00:00:00Z"},
      {"0 0 1 1 *", "1960-01-01T00:00:00Z", "1970-01-01T00:00:00Z"},
  };
  for (const Row& row : table) {
    INFO(row.schedule << " after " << row.after);
    const auto schedule = Schedule::parse(row.schedule);
    REQUIRE(schedule.has_value());
    CHECK(to_string(schedule->next(at(row.after))) == to_string(at(row.next)));
    CHECK(schedule->text() == row.schedule);
  }
  const Timestamp end{std::numeric_limits<std::int64_t>::max()};
  CHECK(Schedule::parse("0 0 * * *")->next(end) == end);
  CHECK(Schedule::parse("0 0 * * *")->next(at("9999-12-31T00:00:00Z")) == end);
}

TEST_CASE("cron: a year of one schedule has as many times as its days say") {
  const auto schedule = Schedule::parse("30 2,14 1,15 */3 tue").value();
  std::vector<std::string> found;
  Timestamp t = at("2026-01-01T00:00:00Z");
  for (;;) {
    t = schedule.next(t);
    if (t >= at("2027-01-01T00:00:00Z")) break;
    found.push_back(to_string(t));
  }
  // January, April, July and October; the first, the fifteenth and every Tuesday.
  std::size_t expected = 0;
  for (Timestamp day = at("2026-01-01T00:00:00Z"); day < at("2027-01-01T00:00:00Z");
       day = day + 24LL * 3600 * 1'000'000) {
    const std::string text = to_string(day);
    const std::string month = text.substr(5, 2), date = text.substr(8, 2);
    const bool tuesday = (day.microseconds / (24LL * 3600 * 1'000'000)) % 7 == 5;  // 1970-01-06 was one
    if ((month == "01" || month == "04" || month == "07" || month == "10") &&
        (tuesday || date == "01" || date == "15"))
      expected += 2;
  }
  CHECK(found.size() == expected);
}

TEST_CASE("cron: what is no schedule is said") {
  const std::vector<std::pair<std::string, std::string>> table{
      {"", "five fields"},
      {"0 3 * *", "five fields"},
      {"0 3 * * * *", "five fields"},
      {"@daily", "five fields"},
      {"60 3 * * *", "\"60\" is no minute; write 0 to 59"},
      {"0 24 * * *", "is no hour"},
      {"0 0 0 * *", "is no day of the month"},
      {"0 0 32 * *", "is no day of the month"},
      {"0 0 * 13 *", "is no month"},
      {"0 0 * foo *", "is no month"},
      {"0 0 * * 8", "is no day of the week"},
      {"0 0 * * jan", "is no day of the week"},
      {"-1 0 * * *", "is no minute"},
      {"1- 0 * * *", "is no minute"},
      {"5-1 0 * * *", "is no minute"},
      {"1,,2 0 * * *", "is no minute"},
      {"*/0 0 * * *", "is no minute"},
      {"*/x 0 * * *", "is no minute"},
      {"5/10 0 * * *", "has a step without a range; write 5-59/10"},
      {"99999999999999999999 0 * * *", "is no minute"},
      {"0 0 31 2 *", "never comes"},
      {"0 0 30,31 feb *", "never comes"},
      {"0 0 31 4,6,9,11 *", "never comes"},
  };
  for (const auto& [text, said] : table) {
    INFO(text);
    const auto schedule = Schedule::parse(text);
    REQUIRE(schedule.has_error());
    INFO(schedule.error().message());
    CHECK(schedule.error().message().find(said) != std::string::npos);
  }
}

TEST_CASE("windows: inside and outside") {
  struct Row {
    std::string window;
    std::vector<std::string> inside;
    std::vector<std::string> outside;
  };
  // 2026-11-25 is a Wednesday.
  const std::vector<Row> table{
      {"22:00-05:00",
       {"2026-11-25T22:00:00Z", "2026-11-25T23:59:59Z", "2026-11-26T00:00:00Z", "2026-11-26T04:59:59.999Z"},
       {"2026-11-25T21:59:59Z", "2026-11-26T05:00:00Z", "2026-11-25T12:00:00Z"}},
      {"sat,sun 00:00-24:00",
       {"2026-11-28T00:00:00Z", "2026-11-29T23:59:59Z"},
       {"2026-11-27T23:59:59Z", "2026-11-30T00:00:00Z"}},
      {"mon-fri 20:00-06:00",
       {"2026-11-27T20:00:00Z", "2026-11-28T05:59:59Z"},
       {"2026-11-28T20:00:00Z", "2026-11-29T05:00:00Z", "2026-11-30T05:00:00Z", "2026-11-30T19:59:59Z"}},
      {"09:00-17:00", {"2026-11-25T09:00:00Z", "1969-12-31T16:00:00Z"}, {"2026-11-25T17:00:00Z"}},
      {"wed 22:00-00:00", {"2026-11-25T23:00:00Z"}, {"2026-11-26T00:00:00Z", "2026-11-26T23:00:00Z"}},
      {"sun 22:00-02:00", {"2026-11-30T01:00:00Z"}, {"2026-11-29T01:00:00Z"}},
  };
  for (const Row& row : table) {
    const auto window = Window::parse(row.window);
    REQUIRE(window.has_value());
    for (const std::string& time : row.inside) {
      INFO(row.window << " at " << time);
      CHECK(window->contains(at(time)));
    }
    for (const std::string& time : row.outside) {
      INFO(row.window << " at " << time);
      CHECK_FALSE(window->contains(at(time)));
    }
  }
  std::vector<Window> windows;
  CHECK(is_open(windows, at("2026-11-25T12:00:00Z")));
  windows.push_back(Window::parse("22:00-23:00").value());
  windows.push_back(Window::parse("01:00-02:00").value());
  CHECK_FALSE(is_open(windows, at("2026-11-25T12:00:00Z")));
  CHECK(is_open(windows, at("2026-11-25T01:30:00Z")));
}

TEST_CASE("windows: what is none is said") {
  for (const char* text : {"", "22:00", "22-05", "22:00-22:00", "24:00-05:00", "22:60-05:00", "25:00-26:00",
                           "00:00-24:01", "2:00-5:00", "mon", "foo 22:00-05:00", "mon tue 22:00-05:00",
                           "22:00-05:00-06:00", "8 00:00-24:00", "22:00 - 05:00", "-1:00-05:00"}) {
    INFO(text);
    const auto window = Window::parse(text);
    REQUIRE(window.has_error());
    CHECK(window.error().message().find("write it as 22:00-05:00") != std::string::npos);
  }
}

}  // namespace
}  // namespace stele::policy
