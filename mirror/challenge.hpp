#pragma once
// What a 401 asks for: WWW-Authenticate (RFC 9110, 11.6.1; distribution's token specification).

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stele::mirror {

struct Challenge {
  enum class Kind { bearer, basic };
  Kind kind = Kind::bearer;
  std::string realm;    // of a Bearer challenge: the URL of the token service
  std::string service;  // may be empty
};

// The first challenge that can be answered, Bearer before Basic. Takes any bytes.
std::optional<Challenge> parse_challenges(const std::vector<std::string_view>& fields);

}  // namespace stele::mirror
