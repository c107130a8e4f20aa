#include "config/quantity.hpp"

#include "tests/support/catch.hpp"

using namespace stele::config;
using namespace std::chrono_literals;

TEST_CASE("sizes are read and written exactly") {
  CHECK(parse_size("0") == 0u);
  CHECK(parse_size("4MiB") == 4194304u);
  CHECK(parse_size("32KiB") == 32768u);
  CHECK(parse_size("1GiB") == 1073741824u);
  CHECK(parse_size("4000000") == 4000000u);
  for (const char* bad : {"", "MiB", "4 MiB", "4M", "4mib", "-1", "+1", "1.5MiB", "18446744073709551616",
                          "9999999999999GiB", "0x10"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_size(bad));
  }
  for (const std::uint64_t bytes :
       {0ull, 1ull, 1000ull, 1024ull, 1536ull, 4000000ull, 4194304ull, 1ull << 40}) {
    CHECK(parse_size(format_size(bytes)) == bytes);
  }
  CHECK(format_size(4194304) == "4MiB");
}

TEST_CASE("durations are read and written exactly") {
  CHECK(parse_duration("90s") == 90s);
  CHECK(parse_duration("15m") == 15min);
  CHECK(parse_duration("24h") == 24h);
  CHECK(parse_duration("7d") == 168h);
  CHECK(parse_duration("0") == 0s);
  for (const char* bad : {"", "5", "h", "1h30m", "-1s", "1.5h", "1 h", "99999999999999999d", "00"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_duration(bad));
  }
  CHECK(format_duration(24h) == "24h");
  CHECK(format_duration(168h) == "7d");
  CHECK(format_duration(90s) == "90s");
  CHECK(format_duration(0s) == "0");
}

TEST_CASE("sizes for people are short and not exact") {
  CHECK(size_in_words(0) == "0 bytes");
  CHECK(size_in_words(1) == "1 byte");
  CHECK(size_in_words(1023) == "1023 bytes");
  CHECK(size_in_words(1536) == "1.5 KiB");
  CHECK(size_in_words(50ull << 30) == "50 GiB");
  CHECK(size_in_words(UINT64_MAX) == "16 EiB");
}
