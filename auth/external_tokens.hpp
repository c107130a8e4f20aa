#pragma once
// Tokens of a token server that is not this one (distribution project's token specification): signed by its
// keys, for this registry, limited by their claim `access`. They say who somebody is and are an upper bound
// of what he may do; rights are asked at each request, as for this registry's own.

#include <string>
#include <string_view>

#include "auth/issuer_keys.hpp"
#include "base/clock.hpp"
#include "base/identity.hpp"
#include "base/result.hpp"
#include "base/task.hpp"

namespace stele::auth {

struct ExternalTokenSettings {
  std::string issuer;
  std::string audience;
  std::string jwks_file;
  std::int64_t leeway = 60;  // seconds by which the server's clock may differ
};

// Thread-safe after renew().
class ExternalTokens {
 public:
  // `clock` tells the time of day, nobody sets `boot_clock`; both outlive it.
  ExternalTokens(ExternalTokenSettings settings, const Clock& clock, const Clock& boot_clock);

  // Reads the keys' file if it is another one. What is wrong with it; then the keys before stay in force.
  // Blocks.
  Result<void> renew();

  // Whether it says that it is the server's. Nothing is verified.
  bool is_its(const std::string& token) const;

  // Principal user:<sub>, and the scopes that `access` leaves. unauthorized, saying why.
  Task<Result<Identity>> identify(std::string token);

 private:
  const ExternalTokenSettings settings_;
  const Clock& clock_;
  IssuerKeys keys_;
};

}  // namespace stele::auth
