#include "auth/ldap_certificate.hpp"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "auth/openssl_owners.hpp"

namespace stele::auth {
namespace {

using Certificate = Owned<X509, X509_free>;

bool is_for(X509* certificate, const std::string& host) {
  return X509_check_ip_asc(certificate, host.c_str(), 0) == 1 ||
         X509_check_host(certificate, host.data(), host.size(), 0, nullptr) == 1;
}

// Without the certificates between, which the connection has taken with it: an authority's own issuer need
// not be known.
bool is_vouched_for(X509* certificate, const std::string& ca, Timestamp now) {
  const Owned<X509_STORE, X509_STORE_free> trusted(X509_STORE_new());
  const Owned<X509_STORE_CTX, X509_STORE_CTX_free> check(X509_STORE_CTX_new());
  if (!trusted || !check) return true;
  const int loaded = ca.empty() ? X509_STORE_set_default_paths(trusted.get())
                                : X509_STORE_load_file(trusted.get(), ca.c_str());
  if (loaded != 1 || X509_STORE_CTX_init(check.get(), trusted.get(), certificate, nullptr) != 1) return false;
  X509_STORE_CTX_set_flags(check.get(), X509_V_FLAG_PARTIAL_CHAIN);
  X509_STORE_CTX_set_time(check.get(), 0, now.microseconds / 1'000'000);
  return X509_verify_cert(check.get()) == 1;
}

}  // namespace

std::string fault_of_certificate(std::string_view der, const std::string& host, const std::string& ca,
                                 Timestamp now) {
  const unsigned char* at = bytes_of(der);
  const Certificate certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  std::string fault;
  time_t seconds = now.microseconds / 1'000'000;
  if (!certificate) {
    fault.clear();
  } else if (X509_cmp_time(X509_get0_notAfter(certificate.get()), &seconds) < 0) {
    fault = "its certificate has expired";
  } else if (X509_cmp_time(X509_get0_notBefore(certificate.get()), &seconds) > 0) {
    fault = "its certificate does not hold yet";
  } else if (!is_for(certificate.get(), host)) {
    fault = "its certificate is for another name than the one in auth.ldap.url";
  } else if (!is_vouched_for(certificate.get(), ca, now)) {
    fault = ca.empty()
                ? "its certificate is signed by no authority of the system's; auth.ldap.ca names another"
                : "its certificate is signed by no authority of the file in auth.ldap.ca";
  }
  ERR_clear_error();  // what is left there would be taken for another's failure
  return fault;
}

}  // namespace stele::auth
