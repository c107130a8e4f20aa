#pragma once
// Why a directory's certificate is not accepted. libldap decides it, and with GnuTLS behind it, as Debian has
// it, says no more than "unknown error code".

#include <string>
#include <string_view>

#include "base/clock.hpp"

namespace stele::auth {

// `der`: the certificate; `host`: of the URL, a name or an address; `ca`: a PEM file, empty: the system's. As
// the end of a sentence, naming nothing of the certificate: who is refused may be anybody. Empty: nothing is
// wrong with it, or it cannot be read.
std::string fault_of_certificate(std::string_view der, const std::string& host, const std::string& ca,
                                 Timestamp now);

}  // namespace stele::auth
