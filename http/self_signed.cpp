#include "http/self_signed.hpp"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <memory>

#include "base/printable.hpp"

namespace stele::http {
namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;
using Memory = std::unique_ptr<BIO, decltype(&BIO_free)>;

Error refused() {
  return Error(Errc::internal, "OpenSSL makes no certificate here");
}

bool is_address(const std::string& name) {
  std::array<unsigned char, sizeof(in6_addr)> address{};
  return inet_pton(AF_INET, name.c_str(), address.data()) == 1 ||
         inet_pton(AF_INET6, name.c_str(), address.data()) == 1;
}

bool is_dns_name(const std::string& name) {
  return !name.empty() && name.size() <= 64 && name.front() != '-' && name.front() != '.' &&
         name.back() != '.' && std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                  c == '.';
         });
}

bool add_extension(X509* certificate, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
  const bool added = extension && X509_add_ext(certificate, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return added;
}

bool fill(X509* certificate, EVP_PKEY* key, std::span<const std::string> names, Timestamp now, int days) {
  constexpr std::int64_t hour = 3600, day = 86400;
  std::array<unsigned char, 16> serial{};
  if (RAND_bytes(serial.data(), static_cast<int>(serial.size())) != 1) return false;
  serial[0] &= 0x7f;
  const std::unique_ptr<BIGNUM, decltype(&BN_free)> number(
      BN_bin2bn(serial.data(), static_cast<int>(serial.size()), nullptr), BN_free);
  const std::int64_t seconds = now.microseconds / 1'000'000;
  std::string alternatives;
  for (const std::string& name : names)
    alternatives += (alternatives.empty() ? "" : ",") + std::string(is_address(name) ? "IP:" : "DNS:") + name;
  X509_NAME* const subject = X509_get_subject_name(certificate);
  return number && X509_set_version(certificate, X509_VERSION_3) == 1 &&
         BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr &&
         ASN1_TIME_set(X509_getm_notBefore(certificate), seconds - hour) != nullptr &&
         ASN1_TIME_set(X509_getm_notAfter(certificate), seconds + days * day) != nullptr &&
         X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                                    reinterpret_cast<const unsigned char*>(names.front().c_str()), -1, -1,
                                    0) == 1 &&
         X509_set_issuer_name(certificate, subject) == 1 && X509_set_pubkey(certificate, key) == 1 &&
         add_extension(certificate, NID_subject_alt_name, alternatives) &&
         add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE") &&
         add_extension(certificate, NID_key_usage, "critical,digitalSignature") &&
         add_extension(certificate, NID_ext_key_usage, "serverAuth") &&
         add_extension(certificate, NID_subject_key_identifier, "hash") &&
         X509_sign(certificate, key, EVP_sha256()) > 0;
}

std::string text_of(BIO* memory) {
  char* data = nullptr;
  const long length = BIO_get_mem_data(memory, &data);
  return std::string(data, static_cast<std::size_t>(length));
}

}  // namespace

Result<SelfSigned> make_self_signed(std::span<const std::string> names, Timestamp now, int days) {
  if (names.empty()) return Error(Errc::parameter_invalid, "a certificate needs a name");
  for (const std::string& name : names) {
    if (!is_address(name) && !is_dns_name(name))
      return Error(Errc::parameter_invalid, in_quotes(name) + " is neither a host's name nor an address");
  }
  const Key key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  const Certificate certificate(X509_new(), X509_free);
  if (!key || !certificate || !fill(certificate.get(), key.get(), names, now, days)) return refused();
  const Memory of_certificate(BIO_new(BIO_s_mem()), BIO_free), of_key(BIO_new(BIO_s_secmem()), BIO_free);
  if (!of_certificate || !of_key || PEM_write_bio_X509(of_certificate.get(), certificate.get()) != 1 ||
      PEM_write_bio_PrivateKey(of_key.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1)
    return refused();
  return SelfSigned{text_of(of_certificate.get()), text_of(of_key.get())};
}

}  // namespace stele::http
