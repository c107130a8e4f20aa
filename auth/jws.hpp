#pragma once
// Internal to auth/: whether a JSON Web Signature (RFC 7515, 7518) is this key's. Two algorithms, each for
// its kind of key alone.

#include <string_view>

struct evp_pkey_st;  // OpenSSL's EVP_PKEY

namespace stele::auth {

// ES256: `signature` is r and s, 32 bytes each. The key is one of P-256.
bool verifies_es256(evp_pkey_st* key, std::string_view text, std::string_view signature);

// RS256: PKCS #1 v1.5 with SHA-256. The key is an RSA key.
bool verifies_rs256(evp_pkey_st* key, std::string_view text, std::string_view signature);

}  // namespace stele::auth
