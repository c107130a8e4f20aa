#pragma once
// Internal to http/: what a client certificate calls its owner.

#include <string>

#include "http/tls.hpp"

struct x509_st;

namespace stele::http {

// Empty when it has no such name, more than one where only one can be meant, or one that is not one line of
// printable text: it goes into records, logs and lists.
std::string name_in(x509_st* certificate, CertificateName kind);

}  // namespace stele::http
