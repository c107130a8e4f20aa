#include "server/front_handler.hpp"

#include "tests/support/catch.hpp"

namespace stele {
namespace {

TEST_CASE("server: the client's address is the right-most that no trusted proxy has") {
  const std::vector<AddressRange> proxies{AddressRange::parse("10.0.0.0/8").value(),
                                          AddressRange::parse("::1").value(),
                                          AddressRange::parse("2001:db8::/32").value()};
  struct Row {
    const char* peer;
    const char* forwarded;
    const char* client;
  };
  const Row table[] = {
      {"192.0.2.1", "", "192.0.2.1"},
      {"192.0.2.1", "198.51.100.7", "192.0.2.1"},  // anybody can write the header
      {"10.0.0.1", "", "10.0.0.1"},
      {"10.0.0.1", "198.51.100.7", "198.51.100.7"},
      {"10.0.0.1", "203.0.113.9, 198.51.100.7", "198.51.100.7"},  // the left one is what the client said
      {"10.0.0.1", "203.0.113.9,10.1.1.1,\t10.2.2.2 ", "203.0.113.9"},
      {"10.0.0.1", "10.3.3.3, 10.4.4.4", "10.3.3.3"},
      {"::1", "2001:db8::5, 2a00::1", "2a00::1"},
      {"::1", "2a00::1, 2001:db8::5", "2a00::1"},
      {"::ffff:10.0.0.1", "198.51.100.7", "198.51.100.7"},
      {"10.0.0.1", "unknown", "10.0.0.1"},
      {"10.0.0.1", "198.51.100.7 \"admin\" GET", "10.0.0.1"},
      {"10.0.0.1", "203.0.113.9, nonsense", "10.0.0.1"},
      {"10.0.0.1", "10.0.0.0/8", "10.0.0.1"},
      {"10.0.0.1", ",,,", "10.0.0.1"},
      {"10.0.0.1", "203.0.113.9, , ", "10.0.0.1"},
      {"local", "198.51.100.7", "local"},
  };
  for (const Row& row : table) {
    INFO(row.peer << " forwarded for " << row.forwarded);
    CHECK(client_address(row.peer, row.forwarded, proxies) == row.client);
  }
  CHECK(client_address("10.0.0.1", std::string(100'000, ','), proxies) == "10.0.0.1");
  CHECK(client_address("10.0.0.1", std::string(100'000, '1'), proxies) == "10.0.0.1");
}

}  // namespace
}  // namespace stele
