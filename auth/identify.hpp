#pragma once
// Who is asking, from what the connection itself proves.

#include "base/principal.hpp"
#include "http/exchange.hpp"

namespace stele::auth {

// `cert:<common name>` for a verified client certificate, `local:<uid>` on the administration socket,
// otherwise anonymous. Builds with STELE_TEST_IDENTITY, which nobody runs, also believe the header
// X-Stele-Test-Identity.
Principal identify(const http::Exchange&);

// From the connection alone.
Principal identify(const http::Peer& peer);

}  // namespace stele::auth
