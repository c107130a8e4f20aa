#pragma once
// What an IP address is for, so that a request which somebody else chose the target of does not reach into
// one's own network (RFC 6890 and its successors; RFC 4193, 4291, 6052, 3056).

#include <string_view>

namespace stele::http {

enum class AddressKind {
  global,
  loopback,
  link_local,
  private_use,     // RFC 1918, shared address space, unique local IPv6
  cloud_metadata,  // where clouds hand out credentials
  other,           // unspecified, multicast, reserved, documentation; or no address at all
};

// Of one address without port and brackets. IPv6 forms that carry an IPv4 address are what that address is.
AddressKind kind_of_address(std::string_view address);

// "a loopback address": for messages.
std::string_view describe(AddressKind);

// Whether the text is an address and not a name.
bool is_address_literal(std::string_view host);

}  // namespace stele::http
