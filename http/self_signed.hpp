#pragma once
// A certificate that a server signs for itself, for a registry that has no other yet. Clients trust it as a
// file, as they would an authority's.

#include <span>
#include <string>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace stele::http {

struct SelfSigned {
  std::string certificate;  // PEM
  std::string key;          // PEM, PKCS #8: a secret
};

// For these DNS names and addresses, of which the first is the common name; good for `days` from an hour
// before `now`. ECDSA with P-256. parameter_invalid: a name is neither; internal: OpenSSL refuses.
Result<SelfSigned> make_self_signed(std::span<const std::string> names, Timestamp now, int days);

}  // namespace stele::http
