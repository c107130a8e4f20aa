#pragma once
// The images in what `kubectl get … -o json` prints: of pods, of anything with a pod template, and of lists
// of them. Read as it comes: memory holds the images, not the document.

#include <cstddef>
#include <istream>
#include <set>
#include <string>

#include "base/result.hpp"

namespace stele {

// Adds `image` of containers, init containers, ephemeral containers and image volumes, and `imageID` of their
// states. parameter_invalid: it is not what kubectl prints (cut off, or an error of the API server), or names
// more than `most` images.
Result<void> read_kubectl_images(std::istream&, std::size_t most, std::set<std::string>& images);

// One reference per line; blank lines and lines that begin with # are left out. parameter_invalid.
Result<void> read_image_list(std::istream&, std::size_t most, std::set<std::string>& images);

}  // namespace stele
