#include "cli/quantities.hpp"

#include <array>

#include "config/quantity.hpp"

namespace stele {

std::string size_text(std::int64_t bytes) {
  return bytes < 0 ? "-" : config::size_in_words(static_cast<std::uint64_t>(bytes));
}

std::string age_text(std::int64_t seconds) {
  struct Unit {
    std::int64_t seconds;
    const char* name;
  };
  constexpr std::array<Unit, 4> units{{{86400, "d"}, {3600, "h"}, {60, "m"}, {1, "s"}}};
  for (const Unit& unit : units) {
    if (seconds >= unit.seconds || unit.seconds == 1)
      return std::to_string(seconds / unit.seconds) + unit.name;
  }
  return {};
}

}  // namespace stele
