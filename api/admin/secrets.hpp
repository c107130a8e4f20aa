#pragma once
// Internal to api/admin/: what requests for a robot's secret and for a user's api token have in common.

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace stele::api {

// "90d", a moment (RFC 3339), or "never"; empty: ninety days. parameter_invalid.
Result<std::optional<Timestamp>> expiry_of(const std::string& text, Timestamp now);

// The list "scopes"; empty when it is not there. parameter_invalid when it is something else.
Result<std::vector<std::string>> scopes_of(const nlohmann::json& body);

}  // namespace stele::api
