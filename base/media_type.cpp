#include "base/media_type.hpp"

#include "base/text.hpp"

namespace stele::media_type {

std::string essence(std::string_view content_type) {
  return lower_case(trimmed(content_type.substr(0, content_type.find(';'))));
}

bool is_nondistributable(std::string_view type) {
  return type.starts_with("application/vnd.oci.image.layer.nondistributable.") ||
         type.starts_with("application/vnd.docker.image.rootfs.foreign.");
}

}  // namespace stele::media_type
