#pragma once
// The media types that a registry has to know: image-spec "media-types.md", Docker's image manifest V2
// schema 2.

#include <string>
#include <string_view>

namespace stele::media_type {

inline constexpr std::string_view oci_manifest = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view oci_index = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view docker_manifest = "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr std::string_view docker_list = "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr std::string_view docker_schema1 = "application/vnd.docker.distribution.manifest.v1+json";
inline constexpr std::string_view docker_schema1_signed =
    "application/vnd.docker.distribution.manifest.v1+prettyjws";

// The type without parameters and surrounding space, lower case (RFC 9110, 8.3.1).
std::string essence(std::string_view content_type);

// Layers that registries never hold: OCI non-distributable and Docker foreign layers.
bool is_nondistributable(std::string_view type);

inline bool is_image(std::string_view type) {
  return type == oci_manifest || type == docker_manifest;
}
inline bool is_index(std::string_view type) {
  return type == oci_index || type == docker_list;
}

}  // namespace stele::media_type
