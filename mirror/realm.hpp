#pragma once
// Whether a token service may see a mirror's credentials. Pure.

#include <string_view>

#include "http/url.hpp"

namespace stele::mirror {

// True for the upstream's own host, for the token service that its registry documents (a built-in table), and
// for the host that the mirror's key token_realm names; never over plain http when the upstream is https.
// `upstream` is the URL that the configuration writes, not one that a redirect led to. `token_realm` may be
// empty, which names no host.
bool trusts_realm(const http::Url& upstream, std::string_view token_realm, const http::Url& realm);

}  // namespace stele::mirror
