#include "api/admin/foreign_page.hpp"

#include <string>

#include "base/printable.hpp"
#include "base/text.hpp"
#include "http/address_kind.hpp"

namespace stele::api {
namespace {

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// "name", "192.0.2.1" or "[::1]", without the port.
std::string_view without_port(std::string_view host) {
  const std::size_t colon = host.rfind(':');
  if (colon == std::string_view::npos || !is_number(host.substr(colon + 1))) return host;
  return host.substr(0, colon);
}

// In brackets: IPv6, and nothing else.
bool is_address(std::string_view host) {
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  return bracketed == (host.find(':') != std::string_view::npos) && http::is_address_literal(host);
}

bool names_this_server(std::string_view host, std::string_view external_host) {
  if (!external_host.empty() && http::equals_ignoring_case(host, external_host)) return true;
  const std::string_view name = without_port(host);
  return http::equals_ignoring_case(name, "localhost") || is_address(name);
}

bool is_own_origin(std::string_view origin, std::string_view host, std::string_view external_host,
                   bool encrypted) {
  const std::size_t begin = origin.find("://");
  if (begin == std::string_view::npos) return false;  // "null"
  if (encrypted && !http::equals_ignoring_case(origin.substr(0, begin), "https")) return false;
  const std::string_view page = origin.substr(begin + 3);
  return http::equals_ignoring_case(page, host) ||
         (!external_host.empty() && http::equals_ignoring_case(page, external_host));
}

bool is_json(std::string_view type) {
  return http::equals_ignoring_case(trimmed(type.substr(0, type.find(';'))), "application/json");
}

}  // namespace

Result<void> refuse_foreign_page(const http::RequestHead& request, const Identity& identity,
                                 std::string_view external_host, bool encrypted) {
  if (identity.method == Identity::Method::socket) return {};
  const std::string_view host = request.header("Host");
  if (identity.method == Identity::Method::loopback && !names_this_server(host, external_host)) {
    return Error(Errc::forbidden, "administration is not answered under the name " + printable(host, 100) +
                                      ", which a web page may have chosen; use the server's address, "
                                      "localhost, or set external_url");
  }
  if (request.method == http::Method::get || request.method == http::Method::head) return {};
  encrypted = encrypted || http::equals_ignoring_case(request.joined_header("X-Forwarded-Proto"), "https");
  const std::string origin = request.joined_header("Origin");
  const std::string site = request.joined_header("Sec-Fetch-Site");
  if ((!origin.empty() && !is_own_origin(origin, host, external_host, encrypted)) ||
      (!site.empty() && site != "same-origin" && site != "none")) {
    return Error(Errc::forbidden, "a web page of " +
                                      (origin.empty() ? "another site" : printable(origin, 100)) +
                                      " may change nothing here; send the request from a program");
  }
  if (!is_json(request.joined_header("Content-Type"))) {
    return Error(
        Errc::parameter_invalid,
        "changes are taken with \"Content-Type: application/json\" only, also without a body, so that "
        "no web page of others can make them; add that header");
  }
  return {};
}

}  // namespace stele::api
