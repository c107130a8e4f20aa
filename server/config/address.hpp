#pragma once
// Where the server listens and whom it believes: IP addresses as an operator writes them. No name is ever
// resolved.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace stele {

// An IP address and a port: "127.0.0.1:5000", "[::1]:5000". "localhost" is read as 127.0.0.1.
struct ListenAddress {
  std::string host = "127.0.0.1";  // canonical text, IPv6 without brackets
  std::uint16_t port = 5000;       // 0: the system chooses one

  static Result<ListenAddress> parse(std::string_view text);
  std::string to_string() const;
  bool is_loopback() const;
  bool operator==(const ListenAddress&) const = default;
};

// A CIDR range or a single address. IPv4 is held as IPv4-mapped IPv6 (RFC 4291, 2.5.5.2), so that 10.1.2.3
// and ::ffff:10.1.2.3, which a dual-stack socket reports, are the same.
class AddressRange {
 public:
  // Fails on host bits beyond the prefix ("10.0.0.1/8"): more likely a slip than a wish.
  static Result<AddressRange> parse(std::string_view text);

  // `address` is the text of one address, without port; a zone ("%eth0") does not count. Anything else is in
  // no range.
  bool contains(std::string_view address) const;
  std::string to_string() const;
  bool operator==(const AddressRange&) const = default;

 private:
  AddressRange() = default;
  std::array<unsigned char, 16> address_{};
  unsigned prefix_ = 128;  // of the mapped form: 10.0.0.0/8 is 104
};

}  // namespace stele
