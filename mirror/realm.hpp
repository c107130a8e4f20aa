#pragma once
// Whether a token service may see a mirror's credentials. Pure.

#include <string_view>

#include "http/url.hpp"

namespace stele::mirror {

// Whether the mirror's key token_realm names where this URL leads: "auth.example" names the scheme's own
// port, "auth.example:5001" that one. Empty: it names nothing.
bool is_named_realm(std::string_view token_realm, const http::Url& url);

// True for the upstream's own host, on upstream's port or on the scheme's own, for the token service that its
// registry documents (a built-in table), and for the one that token_realm names; never over plain http when
// the upstream is https. `upstream` is the URL that the configuration writes, not one that a redirect led to.
bool trusts_realm(const http::Url& upstream, std::string_view token_realm, const http::Url& realm);

}  // namespace stele::mirror
