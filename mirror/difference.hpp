#pragma once
// What a tag would bring: an image that is held beside the one that upstream names. Pure.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/manifest.hpp"

namespace stele::mirror {

// Of two manifests of images. Sizes are those of config and layers as they are stored, in bytes.
struct LayerChanges {
  static constexpr std::size_t most_listed = 100;

  std::uint64_t held_bytes = 0, upstream_bytes = 0;
  std::size_t kept = 0;  // layers that both have
  std::size_t added_count = 0, removed_count = 0;
  std::vector<Descriptor> added, removed;  // of them, at most most_listed
  // What they say that they are built on (image-spec, annotations.md):
  // "docker.io/library/debian:13@sha256:…", or empty.
  std::string held_base, upstream_base;
};

// One platform of the two; of an image that is no index, the whole.
struct ImageChange {
  std::string platform;                // "linux/arm64/v8"; empty: of no index
  std::optional<Digest> held;          // empty: added
  std::optional<Digest> upstream;      // empty: removed
  std::optional<LayerChanges> layers;  // where both manifests are here
};

// A manifest as it is stored.
struct ManifestText {
  Digest digest;
  std::string media_type;
  std::string bytes;
};

// By platform, at most 100 of them; what an index lists of no platform (attestations) is left out. `layers`
// is filled where neither is an index. manifest_invalid.
Result<std::vector<ImageChange>> compare(const ManifestText& held, const ManifestText& upstream);

// manifest_invalid: one of them is no image.
Result<LayerChanges> compare_layers(const ManifestText& held, const ManifestText& upstream);

}  // namespace stele::mirror
