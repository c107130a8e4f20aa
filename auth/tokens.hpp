#pragma once
// The tokens that Stele makes: JSON Web Tokens (RFC 7519), which say who somebody is and what the token is
// limited to. They give no right: rights are asked at each request. What they rest on, a password, is named
// by a fingerprint, so that they end with it.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "auth/token_keys.hpp"
#include "auth/verified_tokens.hpp"
#include "base/clock.hpp"
#include "base/identity.hpp"
#include "base/result.hpp"

namespace stele::auth {

struct TokenSettings {
  std::int64_t seconds = 300;                   // that a token holds
  std::int64_t refresh_seconds = 90LL * 86400;  // that one holds which gets others
  std::string service = "stele";                // whose tokens they are: issuer and audience
};

// What a token says.
struct TokenClaims {
  std::string subject;              // the principal: "user:alice", "anonymous"
  std::string fingerprint;          // of the password; empty: it rests on none
  std::vector<std::string> scopes;  // never empty in a token for requests
  std::int64_t login = 0;           // the robot's secret or refresh token that it rests on; 0: on none
  std::string issuer = {};          // of the ID token that it rests on; empty: it rests on none
  std::vector<Claim> claims = {};   // of that token
  std::int64_t session_ends = 0;    // of a CI job that logged in, seconds of the epoch; 0: it did not
  std::int64_t expires_at = 0;      // seconds of the epoch
};

// What never changes of a token that this registry made.
struct VerifiedToken {
  std::string key;       // the id of the key that signed it
  std::string audience;  // whom it is for
  TokenClaims claims;
};

// Thread-safe.
class Tokens {
 public:
  enum class Use { request, refresh };

  // Both outlive it. `clock`: the time of day.
  Tokens(TokenSettings settings, const TokenKeys& keys, const Clock& clock)
      : settings_(std::move(settings)), keys_(keys), clock_(clock) {}

  // `expires_at` is set here: a refresh token ends with its session; a request token of an ID token that
  // began none ends with that one, whose end is given in it, or after five minutes, since nobody can revoke
  // it.
  Result<std::string> make(Use use, TokenClaims claims) const;

  // unauthorized, saying why: not one of ours, for another use, expired by more than a minute, of a session
  // that has ended. A signature is verified once for as long as the token is remembered.
  Result<TokenClaims> read(Use use, std::string_view token) const;

  // How long a request token for these holds, seconds.
  std::int64_t request_seconds(const TokenClaims&) const;

  const TokenSettings& settings() const { return settings_; }
  std::int64_t now() const { return clock_.now().microseconds / 1'000'000; }  // seconds of the epoch
  std::size_t remembered() const { return verified_.size(); }                 // tokens

 private:
  // Of the tokens that are remembered: some ten thousand.
  static constexpr std::size_t most_remembered_bytes = 8 * 1024 * 1024;

  std::string audience(Use use) const;
  // Whoever made it and whatever it says, it is known by now: unauthorized when its time is over.
  Result<void> holds(const TokenClaims&) const;
  Result<VerifiedToken> verify(std::string_view token) const;

  const TokenSettings settings_;
  const TokenKeys& keys_;
  const Clock& clock_;
  mutable VerifiedTokens verified_{most_remembered_bytes};
};

}  // namespace stele::auth
