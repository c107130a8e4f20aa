#include "auth/jws.hpp"

#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>

#include "auth/openssl_owners.hpp"

namespace stele::auth {
namespace {

constexpr std::size_t half = 32;

using OwnDigestContext = Owned<EVP_MD_CTX, EVP_MD_CTX_free>;
using OwnSignature = Owned<ECDSA_SIG, ECDSA_SIG_free>;
using OwnNumber = Owned<BIGNUM, BN_free>;

bool verifies(evp_pkey_st* key, std::string_view text, const unsigned char* signature, std::size_t length) {
  const OwnDigestContext context(EVP_MD_CTX_new());
  // The padding of RSA is PKCS #1 v1.5 unless something else is asked for.
  return context && EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key) == 1 &&
         EVP_DigestVerify(context.get(), signature, length, bytes_of(text), text.size()) == 1;
}

}  // namespace

bool verifies_es256(evp_pkey_st* key, std::string_view text, std::string_view signature) {
  if (signature.size() != 2 * half || EVP_PKEY_is_a(key, "EC") != 1) return false;
  const OwnSignature parts(ECDSA_SIG_new());
  OwnNumber r(BN_bin2bn(bytes_of(signature), static_cast<int>(half), nullptr));
  OwnNumber s(BN_bin2bn(bytes_of(signature.substr(half)), static_cast<int>(half), nullptr));
  if (!parts || !r || !s) return false;
  BIGNUM* const r_of_parts = r.release();
  BIGNUM* const s_of_parts = s.release();
  if (ECDSA_SIG_set0(parts.get(), r_of_parts, s_of_parts) != 1) {  // only then they are not its own
    BN_free(r_of_parts);
    BN_free(s_of_parts);
    return false;
  }
  unsigned char* der = nullptr;
  const int length = i2d_ECDSA_SIG(parts.get(), &der);
  if (length <= 0) return false;
  const bool good = verifies(key, text, der, static_cast<std::size_t>(length));
  OPENSSL_free(der);
  return good;
}

bool verifies_rs256(evp_pkey_st* key, std::string_view text, std::string_view signature) {
  if (EVP_PKEY_is_a(key, "RSA") != 1) return false;
  return verifies(key, text, bytes_of(signature), signature.size());
}

}  // namespace stele::auth
