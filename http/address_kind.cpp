#include "http/address_kind.hpp"

#include <arpa/inet.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>

namespace stele::http {
namespace {

using V6 = std::array<unsigned char, 16>;

struct Range4 {
  std::uint32_t address;
  unsigned prefix;
  AddressKind kind;
};

constexpr std::uint32_t v4(unsigned a, unsigned b, unsigned c, unsigned d) {
  return a << 24 | b << 16 | c << 8 | d;
}

// The first that matches counts.
constexpr Range4 ranges[] = {
    {v4(169, 254, 169, 254), 32, AddressKind::cloud_metadata},  // AWS, Google, Azure, most others
    {v4(169, 254, 170, 2), 32, AddressKind::cloud_metadata},    // AWS containers
    {v4(169, 254, 170, 23), 32, AddressKind::cloud_metadata},   // AWS pods
    {v4(100, 100, 100, 200), 32, AddressKind::cloud_metadata},  // Alibaba
    {v4(192, 0, 0, 192), 32, AddressKind::cloud_metadata},      // Oracle
    {v4(168, 63, 129, 16), 32, AddressKind::cloud_metadata},    // Azure's wire server
    {v4(0, 0, 0, 0), 8, AddressKind::other},
    {v4(10, 0, 0, 0), 8, AddressKind::private_use},
    {v4(100, 64, 0, 0), 10, AddressKind::private_use},
    {v4(127, 0, 0, 0), 8, AddressKind::loopback},
    {v4(169, 254, 0, 0), 16, AddressKind::link_local},
    {v4(172, 16, 0, 0), 12, AddressKind::private_use},
    {v4(192, 0, 0, 0), 24, AddressKind::other},
    {v4(192, 0, 2, 0), 24, AddressKind::other},
    {v4(192, 168, 0, 0), 16, AddressKind::private_use},
    {v4(198, 18, 0, 0), 15, AddressKind::private_use},
    {v4(198, 51, 100, 0), 24, AddressKind::other},
    {v4(203, 0, 113, 0), 24, AddressKind::other},
    {v4(224, 0, 0, 0), 3, AddressKind::other},
};

AddressKind kind_of_v4(std::uint32_t address) {
  for (const Range4& range : ranges) {
    if ((address ^ range.address) >> (32 - range.prefix) == 0) return range.kind;
  }
  return AddressKind::global;
}

std::uint32_t v4_at(const V6& address, std::size_t at) {
  return v4(address[at], address[at + 1], address[at + 2], address[at + 3]);
}

bool begins(const V6& address, std::initializer_list<unsigned char> prefix) {
  return std::memcmp(address.data(), prefix.begin(), prefix.size()) == 0;
}

AddressKind kind_of_v6(const V6& address) {
  constexpr V6 loopback{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  if (address == loopback) return AddressKind::loopback;
  if (begins(address, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff})) return kind_of_v4(v4_at(address, 12));
  if (begins(address, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})) return kind_of_v4(v4_at(address, 12));
  if (begins(address, {0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0}))
    return kind_of_v4(v4_at(address, 12));
  if (begins(address, {0x00, 0x64, 0xff, 0x9b, 0x00, 0x01})) return AddressKind::private_use;  // RFC 8215
  if (begins(address, {0x20, 0x02})) return kind_of_v4(v4_at(address, 2));
  if (begins(address, {0xfd, 0x00, 0x0e, 0xc2})) return AddressKind::cloud_metadata;  // AWS
  if ((address[0] & 0xfe) == 0xfc) return AddressKind::private_use;
  if (address[0] == 0xfe && (address[1] & 0xc0) == 0x80) return AddressKind::link_local;
  if (address[0] == 0xfe && (address[1] & 0xc0) == 0xc0) return AddressKind::private_use;  // old site-local
  if ((address[0] & 0xe0) != 0x20) return AddressKind::other;  // outside of what is assigned: multicast, …
  if (begins(address, {0x20, 0x01, 0x0d, 0xb8})) return AddressKind::other;
  if (begins(address, {0x20, 0x01, 0x00, 0x00})) return AddressKind::other;  // Teredo carries any IPv4
  return AddressKind::global;
}

std::optional<AddressKind> parsed_kind(std::string_view text) {
  const std::string terminated(text.substr(0, text.find('%')));  // without a zone
  in_addr four{};
  if (inet_pton(AF_INET, terminated.c_str(), &four) == 1) return kind_of_v4(ntohl(four.s_addr));
  V6 six{};
  if (inet_pton(AF_INET6, terminated.c_str(), six.data()) == 1) return kind_of_v6(six);
  return std::nullopt;
}

}  // namespace

AddressKind kind_of_address(std::string_view address) {
  return parsed_kind(address).value_or(AddressKind::other);
}

bool is_address_literal(std::string_view host) {
  return parsed_kind(host).has_value();
}

std::string_view describe(AddressKind kind) {
  switch (kind) {
    case AddressKind::global:
      return "a public address";
    case AddressKind::loopback:
      return "a loopback address";
    case AddressKind::link_local:
      return "a link-local address";
    case AddressKind::private_use:
      return "a private address";
    case AddressKind::cloud_metadata:
      return "a cloud's metadata address";
    case AddressKind::other:
      break;
  }
  return "a reserved address";
}

}  // namespace stele::http
