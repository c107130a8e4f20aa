#pragma once
// What a request may reach whose first target the operator wrote, and whose further ones others name: in
// redirects, challenges and documents: not into our own network, unless what was written is there.

#include "http/address_kind.hpp"
#include "http/url.hpp"

namespace stele::http {

// Whether the URL itself is where addresses of this kind are: "localhost", or such an address.
bool lives_among(const Url& written, AddressKind kind);

// Global addresses, and those of the kind of `written`; where clouds hand out credentials, never.
bool may_reach_from(const Url& written, AddressKind kind);

}  // namespace stele::http
