#pragma once
// Percent-encoding and query strings (RFC 3986).

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stele::http {

// Decodes once; nullopt for a malformed escape or an encoded NUL. '+' stays '+': digests and tags never
// contain spaces.
std::optional<std::string> percent_decode(std::string_view);

// Encodes everything but unreserved characters.
std::string percent_encode(std::string_view);

// The decoded parameters in order.
class QueryParameters {
 public:
  explicit QueryParameters(std::string_view query);
  // The first value of that name.
  std::optional<std::string_view> first(std::string_view name) const;
  std::vector<std::string_view> all(std::string_view name) const;
  // Some pair was not properly percent-encoded; it is left out.
  bool malformed() const { return malformed_; }

 private:
  bool malformed_ = false;
  std::vector<std::pair<std::string, std::string>> pairs_;
};

}  // namespace stele::http
