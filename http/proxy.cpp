#include "http/proxy.hpp"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>
#include <charconv>
#include <cstdlib>
#include <optional>

#include "base/text.hpp"

namespace stele::http {
namespace {

namespace ip = boost::asio::ip;

// Without a zone ("%eth0"), which none in a list has.
std::optional<ip::address> address_of(const std::string& text) {
  boost::system::error_code failed;
  ip::address address = ip::make_address(text, failed);
  if (failed || text.find('%') != std::string::npos) return std::nullopt;
  return address;
}

std::optional<unsigned> number_of(std::string_view text, unsigned most) {
  unsigned number = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || read.ec != std::errc() || read.ptr != text.data() + text.size() || number > most)
    return std::nullopt;
  return number;
}

bool same_network(const ip::address& one, const ip::address& other, unsigned bits) {
  const auto prefix = static_cast<unsigned short>(bits);
  if (one.is_v4() != other.is_v4()) return false;
  if (one.is_v4())
    return ip::network_v4(one.to_v4(), prefix).network() == ip::network_v4(other.to_v4(), prefix).network();
  return ip::network_v6(one.to_v6(), prefix).network() == ip::network_v6(other.to_v6(), prefix).network();
}

// An entry without its port; nothing when the port is another than the URL's.
std::optional<std::string> host_of(std::string_view entry, const Url& url) {
  std::string_view host = entry, port;
  if (entry.starts_with('[')) {
    const std::size_t end = entry.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    host = entry.substr(1, end - 1);
    if (entry.size() > end + 1) port = entry.substr(end + 2);
  } else if (const std::size_t colon = entry.find(':');
             colon != std::string_view::npos && entry.rfind(':') == colon) {
    host = entry.substr(0, colon);
    port = entry.substr(colon + 1);
  }
  if (host.size() != entry.size() && !port.empty() && number_of(port, 65535) != url.port())
    return std::nullopt;
  return lower_case(host);
}

bool entry_names(std::string_view entry, const Url& url) {
  if (entry == "*") return true;
  const auto written = host_of(entry, url);
  if (!written) return false;
  const std::size_t slash = written->find('/');
  if (const auto network = address_of(written->substr(0, slash))) {
    const auto host = address_of(url.host());
    const unsigned all = network->is_v4() ? 32 : 128;
    const auto bits =
        slash == std::string::npos ? std::optional(all) : number_of(written->substr(slash + 1), all);
    return host && bits && same_network(*network, *host, *bits);
  }
  if (address_of(url.host())) return false;
  std::string_view domain = *written;
  if (domain.starts_with("*.")) domain.remove_prefix(1);
  if (domain.starts_with('.')) domain.remove_prefix(1);
  const std::string_view host = url.host();
  if (domain.empty() || !host.ends_with(domain)) return false;
  return host.size() == domain.size() || host[host.size() - domain.size() - 1] == '.';
}

std::string variable(const char* small, const char* large) {
  for (const char* const name : {small, large}) {
    const char* const value = std::getenv(name);
    if (value && *value) return value;
  }
  return {};
}

}  // namespace

bool without_proxy(std::string_view list, const Url& url) {
  while (!list.empty()) {
    const std::size_t end = std::min(list.find_first_of(", \t"), list.size());
    if (end > 0 && entry_names(list.substr(0, end), url)) return true;
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return false;
}

std::string proxy_for(const std::string& written, const Url& url) {
  if (written == "none") return {};
  if (!written.empty()) return written;
  if (without_proxy(variable("no_proxy", "NO_PROXY"), url)) return {};
  const std::string proxy =
      url.secure() ? variable("https_proxy", "HTTPS_PROXY") : variable("http_proxy", "HTTP_PROXY");
  return proxy.empty() ? variable("all_proxy", "ALL_PROXY") : proxy;
}

}  // namespace stele::http
