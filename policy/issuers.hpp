#pragma once
// The issuers of ID tokens that everybody writes down.

#include <string_view>

namespace stele::policy {

// The URL of github (its hosted service) and gitlab (gitlab.com); any other text as it is.
std::string_view issuer_url(std::string_view name);

}  // namespace stele::policy
