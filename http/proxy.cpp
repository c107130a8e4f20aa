#include "http/proxy.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <optional>

#include "base/text.hpp"

namespace stele::http {
namespace {

struct Address {
  std::array<unsigned char, 16> bytes{};
  unsigned bits = 0;  // 32 or 128
};

std::optional<Address> address_of(const std::string& text) {
  Address address;
  if (::inet_pton(AF_INET, text.c_str(), address.bytes.data()) == 1) {
    address.bits = 32;
  } else if (::inet_pton(AF_INET6, text.c_str(), address.bytes.data()) == 1) {
    address.bits = 128;
  } else {
    return std::nullopt;
  }
  return address;
}

std::optional<unsigned> number_of(std::string_view text, unsigned most) {
  unsigned number = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || read.ec != std::errc() || read.ptr != text.data() + text.size() || number > most)
    return std::nullopt;
  return number;
}

bool same_network(const Address& one, const Address& other, unsigned bits) {
  if (one.bits != other.bits) return false;
  for (unsigned bit = 0; bit < bits; ++bit) {
    const auto mask = static_cast<unsigned char>(0x80U >> bit % 8);
    if (((one.bytes[bit / 8] ^ other.bytes[bit / 8]) & mask) != 0) return false;
  }
  return true;
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
    const auto bits =
        slash == std::string::npos ? network->bits : number_of(written->substr(slash + 1), network->bits);
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
