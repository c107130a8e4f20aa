#include "policy/right.hpp"

namespace stele::policy {

std::string_view to_string(Right right) {
  switch (right) {
    case Right::pull:
      return "pull";
    case Right::push:
      return "push";
    case Right::remove:
      return "delete";
    case Right::promote:
      return "promote";
    case Right::rollback:
      return "rollback";
    case Right::release_tag:
      return "release-tag";
    case Right::hold:
      return "hold";
    case Right::release_hold:
      return "release-hold";
    case Right::approve:
      return "approve";
    case Right::bypass_governance:
      return "bypass-governance";
    case Right::report_in_use:
      return "report-in-use";
    case Right::lifecycle:
      return "lifecycle";
    case Right::admin:
      return "admin";
    case Right::audit:
      return "audit";
    case Right::upkeep:
      return "upkeep";
  }
  return "unknown";
}

std::optional<Right> parse_right(std::string_view name) {
  for (int i = 0; i < right_count; ++i) {
    if (name == to_string(static_cast<Right>(i))) return static_cast<Right>(i);
  }
  return std::nullopt;
}

bool is_of_the_server(Right right) {
  return right == Right::approve || right == Right::report_in_use || right == Right::lifecycle;
}

std::string to_string(Rights rights) {
  std::string text;
  for (int i = 0; i < right_count; ++i) {
    const auto right = static_cast<Right>(i);
    if (rights.has(right)) text += (text.empty() ? "" : ", ") + std::string(to_string(right));
  }
  return text;
}

}  // namespace stele::policy
