#include "server/config/address.hpp"

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/network_v6.hpp>
#include <charconv>
#include <optional>

#include "base/printable.hpp"
#include "config/config_problem.hpp"

namespace stele {
namespace {

namespace ip = boost::asio::ip;

constexpr unsigned v4_bits = 96;  // of the mapped form, before the IPv4 address begins

// IPv4 in its mapped form. Without a zone ("%eth0"), which no address in a configuration has.
std::optional<ip::address_v6> parse_address(std::string_view text) {
  if (text.find_first_of(std::string_view("\0%", 2)) != std::string_view::npos) return std::nullopt;
  boost::system::error_code failed;
  const ip::address address = ip::make_address(text, failed);
  if (failed) return std::nullopt;
  if (address.is_v4()) return ip::make_address_v6(ip::v4_mapped, address.to_v4());
  return address.to_v6();
}

std::string address_text(const ip::address_v6& address) {
  return address.is_v4_mapped() ? ip::make_address_v4(ip::v4_mapped, address).to_string()
                                : address.to_string();
}

ip::address_v6 masked(const ip::address_v6& address, unsigned bits) {
  return ip::network_v6(address, static_cast<unsigned short>(bits)).network();
}

template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  Number number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
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
  return address->is_v4_mapped() ? ip::make_address_v4(ip::v4_mapped, *address).is_loopback()
                                 : address->is_loopback();
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
  range.address_ = address->to_bytes();
  if (slash == std::string_view::npos) return range;

  const bool v4_text = host.find(':') == std::string_view::npos;
  const unsigned longest = v4_text ? 32 : 128;
  const auto prefix = parse_number<unsigned>(text.substr(slash + 1));
  if (!prefix || *prefix > longest) {
    return invalid("the prefix length is a number from 0 to " + std::to_string(longest));
  }
  range.prefix_ = *prefix + (v4_text ? v4_bits : 0);
  range.address_ = masked(*address, range.prefix_).to_bytes();
  if (range.address_ != address->to_bytes())
    return invalid("it has bits beyond its prefix; did you mean " + range.to_string() + "?");
  return range;
}

bool AddressRange::contains(std::string_view address) const {
  const auto parsed = parse_address(address.substr(0, address.find('%')));
  if (!parsed) return false;
  // ::/0 and its like speak of IPv6: without this they would take in every mapped IPv4 address too.
  if (prefix_ < v4_bits && parsed->is_v4_mapped()) return false;
  return masked(*parsed, prefix_).to_bytes() == address_;
}

std::string AddressRange::to_string() const {
  const ip::address_v6 address(address_);
  std::string text = address_text(address);
  if (prefix_ == 128) return text;
  const bool v4 = prefix_ >= v4_bits && address.is_v4_mapped();
  return text + "/" + std::to_string(v4 ? prefix_ - v4_bits : prefix_);
}

}  // namespace stele
