#pragma once
// An image as clusters write it: a pod's `image` and `imageID`, whatever runtime told it.

#include <optional>
#include <string>
#include <string_view>

#include "base/reference.hpp"

namespace stele {

// Taken apart, not looked up. A name may be absent (a bare digest); otherwise tag or digest is there.
struct ImageReference {
  std::string host;                     // "registry.example:5000", lower case; empty: none is given
  std::optional<RepositoryName> name;   // behind the host
  std::optional<RepositoryName> whole;  // with the host as its first part, where that is a name
  std::optional<Tag> tag;               // never beside a digest, which is the more exact
  std::optional<Digest> digest;

  static constexpr std::size_t max_bytes = 1024;
};

// name, name:tag, name@digest, name:tag@digest, each perhaps behind host[:port]/ and a scheme as in
// docker-pullable://; a digest alone, also as 64 hex digits. Without a tag and a digest: latest. A first part
// is a host when it has a dot, a colon or a capital, or is localhost. Nothing on anything else.
std::optional<ImageReference> parse_image_reference(std::string_view text);

}  // namespace stele
