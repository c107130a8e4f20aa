#pragma once
// The public keys of an issuer of ID tokens, as a JSON Web Key Set (RFC 7517, section 5).

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace stele::auth {

// Immutable; thread-safe. Cheap to copy.
class JsonWebKeys {
 public:
  static constexpr std::size_t max_bytes = 1 << 20;  // of a set
  static constexpr std::size_t max_keys = 200;

  // Keys for something else than signatures, of another kind, too small (RSA below 2048 bits) or broken are
  // passed over, as are their private halves. parameter_invalid: no set, or none of its keys is of use; says
  // why and quotes nothing.
  static Result<JsonWebKeys> parse(std::string_view text);

  enum class Outcome { verified, wrong, no_such_key };
  // `algorithm` is "RS256" or "ES256": only keys of its kind are tried, and only those named `key`; all of
  // them when the token names none, if the set has but one.
  Outcome verify(std::string_view algorithm, std::string_view key, std::string_view text,
                 std::string_view signature) const;

  // The very same set, read once.
  bool is_same(const JsonWebKeys& other) const { return keys_ == other.keys_; }

 private:
  struct Key;
  explicit JsonWebKeys(std::shared_ptr<const std::vector<Key>> keys) : keys_(std::move(keys)) {}
  std::shared_ptr<const std::vector<Key>> keys_;
};

}  // namespace stele::auth
