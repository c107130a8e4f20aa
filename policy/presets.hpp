#pragma once
// Named patterns for the tags that build tools produce (docker/metadata-action, cosign, release tools).

#include <optional>
#include <span>
#include <string_view>

namespace stele::policy {

struct Preset {
  std::string_view name;   // "@semver"
  std::string_view regex;  // RE2, a full match
  std::string_view means;  // for people: "a full version: 1.4.2, v1.4.2, 1.4.2-rc.1"
};

std::span<const Preset> presets();
const Preset* find_preset(std::string_view name);

}  // namespace stele::policy
