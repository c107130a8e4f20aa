#include "policy/presets.hpp"

namespace stele::policy {
namespace {

constexpr Preset all[] = {
    // "_" stands for the "+" of build metadata, which no tag may contain (Helm writes it so).
    {"@semver",
     R"(v?\d+\.\d+\.\d+(?:\.\d+)?(?:-[0-9A-Za-z][0-9A-Za-z._-]*)?(?:_[0-9A-Za-z][0-9A-Za-z._-]*)?)",
     "a full version: 1.4.2, v1.4.2, 1.4.2-rc.1, 1.4.2_build.7, 1.4.2.9"},
    {"@semver-minor", R"(v?\d+\.\d+)", "major and minor: 1.4, v1.4"},
    {"@semver-major", R"(v?\d+)", "the major version alone: 1, v1"},
    // 64 hex digits only without a prefix: sha256-<hex> is a signature.
    {"@sha", R"((?:[0-9A-Za-z_][0-9A-Za-z_.-]*-)?(?:sha-[0-9a-f]{7,64}|[0-9a-f]{40})|[0-9a-f]{64})",
     "a commit: sha-a1b2c3d, prod-sha-a1b2c3d, a full hash, v1-<full hash>"},
    {"@snapshot",
     R"(v?\d+(?:\.\d+){0,3}(?:[-_][0-9A-Za-z._-]*)?[-._](?i:dev|nightly|dirty|snapshot(?:[._-][0-9a-z]{1,30})?))",
     "a build on the way to a version: 1.5.0-SNAPSHOT, 0.2.0-dev, 1.4.2-nightly, 1.4.2-3-ga1b2c3d-dirty"},
    {"@branch-main", R"(main|master)", "the main branch: main, master"},
    {"@pr", R"(pr-\d+)", "a pull request: pr-123"},
    // A sha512 digest does not fit into a tag: the specification cuts it to 64 characters, others cut the
    // tag to 128.
    {"@signature", R"((?:sha256-[0-9a-f]{64}|sha512-[0-9a-f]{64,121})(?:\.sig|\.att|\.sbom)?)",
     "signatures, attestations, SBOMs and fallback lists of referrers: sha256-<hex> and sha512-<hex, cut>, "
     "with or without .sig, .att or .sbom"},
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
