#include "auth/signing_key.hpp"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "auth/base64.hpp"
#include "auth/jws.hpp"
#include "auth/openssl_owners.hpp"

namespace stele::auth {
namespace {

constexpr std::size_t half = 32;

using OwnSigningKey = Owned<EVP_PKEY, EVP_PKEY_free>;
using OwnDigestContext = Owned<EVP_MD_CTX, EVP_MD_CTX_free>;
using OwnSignature = Owned<ECDSA_SIG, ECDSA_SIG_free>;
using OwnNumber = Owned<BIGNUM, BN_free>;
using OwnBio = Owned<BIO, BIO_free_all>;

unsigned char* bytes_of(std::string& text) {
  return reinterpret_cast<unsigned char*>(text.data());
}

Error failed(const char* what) {
  return Error(Errc::internal, std::string("OpenSSL cannot ") + what);
}

// 32 bytes, leading zeros included; empty when the key has no such number.
std::string coordinate(const EVP_PKEY* key, const char* name) {
  BIGNUM* number = nullptr;
  if (EVP_PKEY_get_bn_param(key, name, &number) != 1) return {};
  const OwnNumber owned(number);
  std::string bytes(half, '\0');
  if (BN_bn2binpad(number, bytes_of(bytes), static_cast<int>(half)) != static_cast<int>(half)) return {};
  return bytes;
}

}  // namespace

struct SigningKey::Key {
  explicit Key(EVP_PKEY* taken) : pkey(taken) {}
  OwnSigningKey pkey;
};

Result<SigningKey> SigningKey::of(std::shared_ptr<const Key> key) {
  std::array<char, 32> group{};
  std::size_t length = 0;
  const EVP_PKEY* const pkey = key->pkey.get();
  if (EVP_PKEY_get_group_name(pkey, group.data(), group.size(), &length) != 1 ||
      std::string_view(group.data(), length) != "prime256v1")
    return Error(Errc::corrupt, "the key is not one of the curve P-256");
  const std::string x = coordinate(pkey, OSSL_PKEY_PARAM_EC_PUB_X);
  const std::string y = coordinate(pkey, OSSL_PKEY_PARAM_EC_PUB_Y);
  if (x.empty() || y.empty()) return Error(Errc::corrupt, "the key has no public half");
  // RFC 7638, section 3: these members, in this order, without spaces.
  const std::string canonical = R"({"crv":"P-256","kty":"EC","x":")" + base64url_encode(x) + R"(","y":")" +
                                base64url_encode(y) + R"("})";
  std::string digest(half, '\0');
  unsigned written = 0;
  EVP_Digest(canonical.data(), canonical.size(), bytes_of(digest), &written, EVP_sha256(), nullptr);
  return SigningKey(std::move(key), base64url_encode(digest));
}

Result<SigningKey> SigningKey::make() {
  EVP_PKEY* const made = EVP_EC_gen("P-256");
  if (!made) return failed("make a key");
  return of(std::make_shared<const Key>(made));
}

Result<SigningKey> SigningKey::from_pem(const std::string& pem) {
  const OwnBio source(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  // Without a callback OpenSSL would ask the terminal for a passphrase.
  const auto no_passphrase = [](char*, int, int, void*) { return -1; };
  EVP_PKEY* const read =
      source ? PEM_read_bio_PrivateKey(source.get(), nullptr, no_passphrase, nullptr) : nullptr;
  if (!read) return Error(Errc::corrupt, "there is no private key in PEM form");
  return of(std::make_shared<const Key>(read));
}

std::string SigningKey::to_pem() const {
  const OwnBio target(BIO_new(BIO_s_mem()));
  if (!target || PEM_write_bio_PKCS8PrivateKey(target.get(), key_->pkey.get(), nullptr, nullptr, 0, nullptr,
                                               nullptr) != 1)
    return {};
  char* text = nullptr;
  const long length = BIO_get_mem_data(target.get(), &text);
  return std::string(text, static_cast<std::size_t>(length));
}

std::string SigningKey::public_jwk() const {
  const EVP_PKEY* const pkey = key_->pkey.get();
  const nlohmann::ordered_json jwk{{"kty", "EC"},
                                   {"crv", "P-256"},
                                   {"x", base64url_encode(coordinate(pkey, OSSL_PKEY_PARAM_EC_PUB_X))},
                                   {"y", base64url_encode(coordinate(pkey, OSSL_PKEY_PARAM_EC_PUB_Y))},
                                   {"kid", id_},
                                   {"use", "sig"},
                                   {"alg", "ES256"}};
  return jwk.dump();
}

Result<std::string> SigningKey::sign(std::string_view text) const {
  const OwnDigestContext context(EVP_MD_CTX_new());
  std::size_t length = 0;
  if (!context || EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key_->pkey.get()) != 1 ||
      EVP_DigestSign(context.get(), nullptr, &length, bytes_of(text), text.size()) != 1)
    return failed("sign a token");
  std::string der(length, '\0');
  if (EVP_DigestSign(context.get(), bytes_of(der), &length, bytes_of(text), text.size()) != 1)
    return failed("sign a token");
  const unsigned char* at = bytes_of(std::string_view(der));
  const OwnSignature parts(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(length)));
  std::string r(half, '\0'), s(half, '\0');
  if (!parts || BN_bn2binpad(ECDSA_SIG_get0_r(parts.get()), bytes_of(r), static_cast<int>(half)) < 0 ||
      BN_bn2binpad(ECDSA_SIG_get0_s(parts.get()), bytes_of(s), static_cast<int>(half)) < 0)
    return failed("sign a token");
  return r + s;
}

bool SigningKey::verifies(std::string_view text, std::string_view signature) const {
  return verifies_es256(key_->pkey.get(), text, signature);
}

}  // namespace stele::auth
