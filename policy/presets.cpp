#include "policy/presets.hpp"

namespace stele::policy {
namespace {

constexpr Preset all[] = {
    {"@semver", R"(v?\d+\.\d+\.\d+(?:-[0-9A-Za-z][0-9A-Za-z._-]*)?)",
     "a full version: 1.4.2, v1.4.2, 1.4.2-rc.1"},
    {"@semver-minor", R"(v?\d+\.\d+)", "major and minor: 1.4, v1.4"},
    {"@semver-major", R"(v?\d+)", "the major version alone: 1, v1"},
    {"@sha", R"((?:[0-9A-Za-z_][0-9A-Za-z_.-]*-)?sha-[0-9a-f]{7,64})",
     "a commit: sha-a1b2c3d, prod-sha-a1b2c3d"},
    {"@branch-main", R"(main|master)", "the main branch: main, master"},
    {"@pr", R"(pr-\d+)", "a pull request: pr-123"},
    {"@signature", R"((?:sha256-[0-9a-f]{64}|sha512-[0-9a-f]{128})(?:\.sig|\.att)?)",
     "signatures, attestations and fallback lists of referrers: sha256-<hex>, with or without .sig or .att"},
};

}  // namespace

std::span<const Preset> presets() {
  return all;
}

const Preset* find_preset(std::string_view name) {
  for (const Preset& preset : all) {
    if (preset.name == name) return &preset;
  }
  return nullptr;
}

}  // namespace stele::policy
