#pragma once
// ID tokens (OpenID Connect Core 1.0, section 2): what one says, before anybody knows whether it is true.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/identity.hpp"
#include "base/result.hpp"

namespace stele::auth {

// A value.
struct IdToken {
  static constexpr std::size_t max_bytes = 16 * 1024;

  std::string algorithm;    // "RS256" or "ES256"
  std::string key;          // its name (kid) among the issuer's keys; empty: it names none
  std::string signed_text;  // what `signature` signs
  std::string signature;

  std::string issuer;
  std::string subject;
  std::vector<std::string> audience;
  std::int64_t expires_at = 0;  // seconds of the epoch
  std::optional<std::int64_t> issued_at;
  std::optional<std::int64_t> not_before;
  // All others and `sub`: texts, whole numbers and truth values; members of an object as "outer/inner".
  // Lists, fractions and null are left out, and so is what is there twice. Empty until read_claims().
  std::vector<Claim> claims;

  // unauthorized, saying what is wrong: too long, no token, a key twice in one object, another algorithm, an
  // extension that must be understood (crit), a key or an address of one in the token, a claim that must be
  // there. Nothing is verified.
  static Result<IdToken> parse(std::string_view token);

  // For a token that is verified: anybody can write one whose claims cost much. unauthorized: more than 256
  // of them, or more than 32 KiB with their names.
  Result<void> read_claims();

  // What a token of a token server is limited to (claim `access` of the distribution project's token
  // specification), as scopes: "repository:a/b:pull", "registry:catalog:*"; what is not understood is left
  // out, and "none" stands alone where nothing is left. For a token that is verified. unauthorized: `access`
  // is no list, or has more than 256 entries.
  Result<std::vector<std::string>> read_access() const;

  // Whether it is for this audience and holds at `now`, seconds of the epoch; `leeway`: by which the clocks
  // may differ. unauthorized, with the times.
  Result<void> holds(std::string_view for_audience, std::int64_t now, std::int64_t leeway) const;
};

// Whether a password has the form of a token, so that it can be nothing else.
bool looks_like_token(std::string_view secret);

// Whose it says it is; empty when that cannot be read. Nothing is verified.
std::string issuer_in(std::string_view token);

}  // namespace stele::auth
