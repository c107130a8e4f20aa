#include "policy/issuers.hpp"

namespace stele::policy {

std::string_view issuer_url(std::string_view name) {
  if (name == "github") return "https://token.actions.githubusercontent.com";
  if (name == "gitlab") return "https://gitlab.com";
  return name;
}

}  // namespace stele::policy
