#pragma once
// Internal to http/: what a client certificate calls its owner, and until when it does.

#include <cstdint>
#include <optional>
#include <string>

#include "http/tls.hpp"

struct stack_st_X509;
struct x509_st;

namespace stele::http {

// Empty when it has no such name, more than one where only one can be meant, or one that is not one line of
// printable text: it goes into records, logs and lists.
std::string name_in(x509_st* certificate, CertificateName kind);

// The first end of a chain's certificates, seconds of the epoch. Null, or an end that cannot be read: none.
std::optional<std::int64_t> end_of(const stack_st_X509* chain);

}  // namespace stele::http
