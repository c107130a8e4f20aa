#pragma once
// Keeps web pages of others away from administration: a browser on the server's machine, or one with a client
// certificate, lends its rights to every page that it shows (cross-site requests, DNS rebinding).

#include <string_view>

#include "base/identity.hpp"
#include "base/result.hpp"
#include "http/message.hpp"

namespace stele::api {

// A request that changes something needs "Content-Type: application/json", which no page can send elsewhere
// without being allowed to (Fetch, "CORS-safelisted request-header"), and neither Origin (RFC 6454, 7) nor
// Sec-Fetch-Site (Fetch Metadata) of another page. Whoever has rights because of the place must name this
// server as a page cannot that got there by a name of its own: by an address, as localhost or as external_url
// does. `external_host`: host[:port] of external_url, lower case; empty: none. `encrypted`: the client speaks
// TLS with this server, or with a proxy that says so (X-Forwarded-Proto; a page cannot send that elsewhere):
// then a page of http:// is another one, which anybody on the way can have written. The local socket, which
// no browser reaches, is free. forbidden; parameter_invalid for the Content-Type.
Result<void> refuse_foreign_page(const http::RequestHead&, const Identity&, std::string_view external_host,
                                 bool encrypted);

}  // namespace stele::api
