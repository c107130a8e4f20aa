#pragma once
// Absolute http and https URLs (RFC 3986) of the outbound client.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace stele::http {

// A value in canonical form: scheme and host in lower case, numeric IPv4 hosts as four decimal parts, IPv6
// hosts without brackets. Never holds a user or a password.
class Url {
 public:
  // parameter_invalid for anything but an absolute http or https URL without user, password and fragment.
  static Result<Url> parse(std::string_view text);
  // What `reference`, absolute or relative, means in a document at this URL (a Location field). A fragment is
  // dropped.
  Result<Url> resolve(std::string_view reference) const;

  bool secure() const { return secure_; }
  const std::string& host() const { return host_; }
  std::uint16_t port() const { return port_; }
  const std::string& path() const { return path_; }    // from its first '/'
  const std::string& query() const { return query_; }  // without '?'

  // "https://registry.example:5000", the port only where it is not the scheme's own. For messages: nothing
  // behind it is ever a secret.
  std::string origin() const;
  std::string str() const;
  // The same place with another path, which begins with '/', and query.
  Url at(std::string path, std::string query = {}) const;

  // Same scheme, host and port: credentials for the one may go to the other.
  bool same_origin(const Url& other) const {
    return secure_ == other.secure_ && host_ == other.host_ && port_ == other.port_;
  }
  bool operator==(const Url&) const = default;

 private:
  Url() = default;
  static Result<Url> from(void* parsed, std::string_view text);

  bool secure_ = false;
  std::string host_;
  std::uint16_t port_ = 0;
  std::string path_;
  std::string query_;
};

}  // namespace stele::http
