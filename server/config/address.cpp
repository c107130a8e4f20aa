#include "server/config/address.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/config_problem.hpp"
#include "base/printable.hpp"

namespace stele {
namespace {

using Bytes16 = std::array<unsigned char, 16>;
constexpr Bytes16 v4_mapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0};
constexpr unsigned v4_bits = 96;  // of the mapped form, before the IPv4 address begins

bool is_v4(const Bytes16& address) {
  return std::equal(address.begin(), address.begin() + 12, v4_mapped.begin());
}

std::optional<Bytes16> parse_address(std::string_view text) {
  const std::string terminated(text);
  if (terminated.find('\0') != std::string::npos) return std::nullopt;
  Bytes16 address = v4_mapped;
  if (inet_pton(AF_INET, terminated.c_str(), address.data() + 12) == 1) return address;
  if (inet_pton(AF_INET6, terminated.c_str(), address.data()) == 1) return address;
  return std::nullopt;
}

std::string address_text(const Bytes16& address) {
  char text[INET6_ADDRSTRLEN] = {};
  if (is_v4(address)) {
    inet_ntop(AF_INET, address.data() + 12, text, sizeof text);
  } else {
    inet_ntop(AF_INET6, address.data(), text, sizeof text);
  }
  return text;
}

template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  Number number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

bool same_prefix(const Bytes16& a, const Bytes16& b, unsigned bits) {
  const unsigned whole = bits / 8;
  if (!std::equal(a.begin(), a.begin() + whole, b.begin())) return false;
  const unsigned rest = bits % 8;
  return rest == 0 || (a[whole] >> (8 - rest)) == (b[whole] >> (8 - rest));
}

Bytes16 masked(Bytes16 address, unsigned bits) {
  for (unsigned bit = bits; bit < 128; ++bit)
    address[bit / 8] &= static_cast<unsigned char>(~(0x80u >> (bit % 8)));
  return address;
}

}  // namespace

Result<ListenAddress> ListenAddress::parse(std::string_view text) {
  const auto invalid = [&](const std::string& why) {
    return Error(Errc::parameter_invalid, in_quotes(text) + " is not an address to listen on: " + why);
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return invalid("write HOST:PORT, for example 127.0.0.1:5000");
  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (!bracketed && host.find(':') != std::string_view::npos) {
    return invalid("an IPv6 address stands in brackets, for example [::1]:5000");
  }
  if (host.empty() || host == "*") {
    return invalid(
        "write 0.0.0.0:PORT for every IPv4 address or [::]:PORT for every IPv6 address of this machine");
  }
  const auto port = parse_number<std::uint16_t>(text.substr(colon + 1));
  if (!port) return invalid("the port is a number from 0 to 65535");
  if (!bracketed && host == "localhost") host = "127.0.0.1";
  const auto address = parse_address(host);
  // Brackets are IPv6's, and a name might one day resolve to another interface than the one that was checked.
  const bool v6_text = host.find(':') != std::string_view::npos;
  if (!address || v6_text != bracketed) return invalid("the host must be an IP address or localhost");
  ListenAddress listen;
  listen.host = address_text(*address);
  listen.port = *port;
  return listen;
}

std::string ListenAddress::to_string() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

bool ListenAddress::is_loopback() const {
  const auto address = parse_address(host);
  if (!address) return false;
  if (is_v4(*address)) return (*address)[12] == 127;
  Bytes16 v6_loopback{};
  v6_loopback[15] = 1;
  return *address == v6_loopback;
}

Result<AddressRange> AddressRange::parse(std::string_view text) {
  const auto invalid = [&](const std::string& why) {
    return Error(Errc::parameter_invalid, in_quotes(text) + " is not an address range: " + why);
  };
  const std::size_t slash = text.find('/');
  const std::string_view host = text.substr(0, slash);
  const auto address = parse_address(host);
  if (!address) return invalid("write an IP address or a range such as 10.0.0.0/8 or fd00::/8");
  AddressRange range;
  range.address_ = *address;
  if (slash == std::string_view::npos) return range;

  const bool v4_text = host.find(':') == std::string_view::npos;
  const unsigned longest = v4_text ? 32 : 128;
  const auto prefix = parse_number<unsigned>(text.substr(slash + 1));
  if (!prefix || *prefix > longest) {
    return invalid("the prefix length is a number from 0 to " + std::to_string(longest));
  }
  range.prefix_ = *prefix + (v4_text ? v4_bits : 0);
  range.address_ = masked(*address, range.prefix_);
  if (range.address_ != *address)
    return invalid("it has bits beyond its prefix; did you mean " + range.to_string() + "?");
  return range;
}

bool AddressRange::contains(std::string_view address) const {
  const auto parsed = parse_address(address);
  if (!parsed) return false;
  // ::/0 and its like speak of IPv6: without this they would take in every mapped IPv4 address too.
  if (prefix_ < v4_bits && is_v4(*parsed)) return false;
  return same_prefix(*parsed, address_, prefix_);
}

std::string AddressRange::to_string() const {
  std::string text = address_text(address_);
  if (prefix_ == 128) return text;
  const bool v4 = prefix_ >= v4_bits && is_v4(address_);
  return text + "/" + std::to_string(v4 ? prefix_ - v4_bits : prefix_);
}

}  // namespace stele
