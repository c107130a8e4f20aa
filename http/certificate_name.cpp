#include "http/certificate_name.hpp"

#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <memory>
#include <vector>

#include "base/printable.hpp"

namespace stele::http {
namespace {

std::string common_name(X509* certificate) {
  X509_NAME* const subject = X509_get_subject_name(certificate);
  const int position = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  // Which of several is meant is for nobody to guess.
  if (position < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, position) >= 0) return {};
  unsigned char* text = nullptr;
  const int length =
      ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, position)));
  if (length < 0) return {};
  std::string name(reinterpret_cast<char*>(text), static_cast<std::size_t>(length));
  OPENSSL_free(text);
  return name;
}

// Of the subject's alternative names (RFC 5280, 4.2.1.6), those of one type.
std::vector<std::string> alternative_names(const X509* certificate, int type) {
  struct Free {
    void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
  };
  std::vector<std::string> found;
  const std::unique_ptr<GENERAL_NAMES, Free> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    int is = 0;
    const auto* const text =
        static_cast<const ASN1_STRING*>(GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names.get(), i), &is));
    if (is != type) continue;
    found.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                       static_cast<std::size_t>(ASN1_STRING_length(text)));
  }
  return found;
}

}  // namespace

std::string name_in(x509_st* certificate, CertificateName kind) {
  std::string name;
  if (kind == CertificateName::common_name) {
    name = common_name(certificate);
  } else {
    auto names = alternative_names(certificate, kind == CertificateName::dns ? GEN_DNS : GEN_URI);
    if (names.size() == 1) name = std::move(names.front());
  }
  // A star is a pattern in rules and no name of anybody's.
  const bool stars = kind != CertificateName::common_name && name.find('*') != std::string::npos;
  return is_printable_line(name) && !stars ? name : std::string();
}

std::optional<std::int64_t> end_of(const stack_st_X509* chain) {
  std::optional<std::int64_t> first;
  for (int i = 0; chain && i < sk_X509_num(chain); ++i) {
    std::tm parts{};
    if (ASN1_TIME_to_tm(X509_get0_notAfter(sk_X509_value(chain, i)), &parts) != 1) continue;
    const std::int64_t end = ::timegm(&parts);
    if (!first || end < *first) first = end;
  }
  return first;
}

}  // namespace stele::http
