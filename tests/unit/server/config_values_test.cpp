// Addresses, and the words around them.
#include "config/config_problem.hpp"
#include "server/config/address.hpp"
#include "tests/support/catch.hpp"

using namespace stele;
using namespace stele::config;

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
