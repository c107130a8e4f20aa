#pragma once
// One P-256 key, and JSON Web Signatures made and verified with it: ES256 and nothing else (RFC 7515, 7518).

#include <memory>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace stele::auth {

// Immutable; thread-safe. Cheap to copy.
class SigningKey {
 public:
  static Result<SigningKey> make();
  // unencrypted PKCS #8, PEM; corrupt for anything that is no private key of P-256.
  static Result<SigningKey> from_pem(const std::string& pem);
  std::string to_pem() const;

  // The key's thumbprint (RFC 7638), in base 64.
  const std::string& id() const { return id_; }
  // The public half as a JSON Web Key, with `kid`, `use` and `alg`.
  std::string public_jwk() const;

  // r and s, 32 bytes each.
  Result<std::string> sign(std::string_view text) const;
  bool verifies(std::string_view text, std::string_view signature) const;

 private:
  struct Key;
  SigningKey(std::shared_ptr<const Key> key, std::string id) : key_(std::move(key)), id_(std::move(id)) {}
  static Result<SigningKey> of(std::shared_ptr<const Key> key);
  std::shared_ptr<const Key> key_;
  std::string id_;
};

}  // namespace stele::auth
