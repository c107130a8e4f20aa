// Addresses, sizes, durations, and the words around them.
#include "base/config_problem.hpp"
#include "server/config/address.hpp"
#include "server/config/quantity.hpp"
#include "tests/support/catch.hpp"

using namespace stele;
using namespace stele::config;
using namespace std::chrono_literals;

TEST_CASE("listen addresses keep their canonical form") {
  CHECK(ListenAddress::parse("127.0.0.1:5000")->to_string() == "127.0.0.1:5000");
  CHECK(ListenAddress::parse("localhost:80")->to_string() == "127.0.0.1:80");
  CHECK(ListenAddress::parse("[0:0:0:0:0:0:0:1]:65535")->to_string() == "[::1]:65535");
  CHECK(ListenAddress::parse("0.0.0.0:0")->port == 0);
  CHECK_FALSE(ListenAddress::parse("[::]:1")->is_loopback());
  CHECK(ListenAddress::parse("[::ffff:127.0.0.1]:1")->is_loopback());
}

TEST_CASE("an address range takes in its addresses, in either family's writing") {
  const auto inside = [](const char* range, const char* address) {
    return AddressRange::parse(range)->contains(address);
  };
  CHECK(inside("10.0.0.0/8", "10.255.0.1"));
  CHECK(inside("10.0.0.0/8", "::ffff:10.1.2.3"));
  CHECK_FALSE(inside("10.0.0.0/8", "11.0.0.0"));
  CHECK(inside("192.0.2.128/25", "192.0.2.129"));
  CHECK_FALSE(inside("192.0.2.128/25", "192.0.2.127"));
  CHECK(inside("192.0.2.1", "192.0.2.1"));
  CHECK_FALSE(inside("192.0.2.1", "192.0.2.2"));
  CHECK(inside("0.0.0.0/0", "203.0.113.9"));
  CHECK_FALSE(inside("0.0.0.0/0", "2001:db8::1"));
  CHECK(inside("::/0", "2001:db8::1"));
  CHECK_FALSE(inside("::/0", "203.0.113.9"));
  CHECK(inside("fd00::/8", "fd12::1"));
  CHECK_FALSE(inside("fd00::/8", "fe00::1"));
  CHECK_FALSE(inside("10.0.0.0/8", ""));
  CHECK_FALSE(inside("10.0.0.0/8", "10.0.0.1:80"));
  for (const char* text : {"10.0.0.0/8", "192.0.2.1", "0.0.0.0/0", "::/0", "fd00::/8", "::1"}) {
    CHECK(AddressRange::parse(text)->to_string() == text);
  }
  CHECK(AddressRange::parse("192.0.2.1/32").value() == AddressRange::parse("192.0.2.1").value());
}

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

TEST_CASE("the nearest name is suggested, a far one is not") {
  constexpr std::string_view names[] = {"listen", "data", "limits", "log"};
  CHECK(nearest("lisen", names) == "listen");
  CHECK(nearest("lsiten", names) == "listen");
  CHECK(nearest("dta", names) == "data");
  CHECK(nearest("limit", names) == "limits");
  CHECK(nearest("zebra", names).empty());
  CHECK(nearest("", names).empty());
  CHECK(nearest(std::string(5000, 'l'), names).empty());
}
