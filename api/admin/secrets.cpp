#include "api/admin/secrets.hpp"

#include <chrono>
#include <nlohmann/json.hpp>

#include "base/printable.hpp"
#include "config/quantity.hpp"

namespace stele::api {
namespace {

constexpr std::chrono::seconds default_lifetime = std::chrono::hours(90 * 24);
// What can be reckoned with, and more than anybody means.
constexpr std::chrono::seconds longest_lifetime = std::chrono::hours(100 * 365 * 24);

}  // namespace

Result<std::optional<Timestamp>> expiry_of(const std::string& text, Timestamp now) {
  if (text == "never") return std::optional<Timestamp>();
  const auto lifetime = text.empty() ? default_lifetime : config::parse_duration(text);
  if (lifetime) {
    if (lifetime->count() <= 0 || *lifetime > longest_lifetime)
      return Error(Errc::parameter_invalid, "expires must be between 1s and 36500d, not " + in_quotes(text));
    return std::optional<Timestamp>(now + lifetime->count() * 1'000'000);
  }
  const auto moment = parse_timestamp(text);
  if (moment) return std::optional<Timestamp>(*moment);
  return Error(Errc::parameter_invalid,
               "expires must be a whole number with m, h or d, as in 90d, a moment such as "
               "2027-01-31T00:00:00Z, or never, not " +
                   in_quotes(text, 40));
}

Result<std::vector<std::string>> scopes_of(const nlohmann::json& body) {
  std::vector<std::string> scopes;
  const auto member = body.find("scopes");
  if (member == body.end()) return scopes;
  if (!member->is_array())
    return Error(Errc::parameter_invalid, "scopes must be a list, as in [\"team/**:pull,push\"]");
  for (const auto& scope : *member) {
    if (!scope.is_string()) return Error(Errc::parameter_invalid, "a scope must be a text");
    scopes.push_back(scope.get<std::string>());
  }
  return scopes;
}

}  // namespace stele::api
