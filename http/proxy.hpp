#pragma once
// Which proxy a request of the outbound client goes through. Decided here and not by libcurl, since addresses
// are checked of direct connections alone (http/fetcher.hpp): of a proxy the operator wrote it, and a name
// that it resolves nobody can check here.

#include <string>
#include <string_view>

#include "http/url.hpp"

namespace stele::http {

// `written`: as FetchRequest::proxy. A proxy's URL holds for every host; "none" is none; empty: what the
// environment says, http_proxy or https_proxy by the URL's scheme, else all_proxy, each in capital letters
// too, but none for hosts in no_proxy. Empty: a direct connection.
std::string proxy_for(const std::string& written, const Url& url);

// Whether a list as NO_PROXY has it, divided by commas or blanks, names the URL's host: "*"; a domain, which
// means the hosts in it too; an address, or a network such as 10.0.0.0/8, for hosts that are written as
// addresses. Of "host:port" that port alone.
bool without_proxy(std::string_view list, const Url& url);

}  // namespace stele::http
