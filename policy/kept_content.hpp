#pragma once
// What append-only compares: the descriptors that a manifest names as layers or entries. One of them is its
// digest, media type, platform and annotations (image-spec descriptor.md); two signatures of the same payload
// differ in nothing but an annotation. Pure functions.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stele::policy {

// One line per layer or entry, as often as the manifest names it, in bytewise order: the digest, a space, and
// the rest as JSON with sorted keys (an empty object of annotations is as none). Config and subject are not
// among them. Nothing when the bytes are no JSON object. Costs one parse of the manifest (at most 4 MiB).
std::optional<std::vector<std::string>> named_content(std::string_view manifest_bytes);

// The lines of `old` that `offered` has not, or has less often. A line that is a digest alone (written by
// versions that compared no more) is kept by any descriptor of that digest. Both in bytewise order.
std::vector<std::string> lost_content(const std::vector<std::string>& old,
                                      const std::vector<std::string>& offered);

// A line for people: the digest, and in parentheses the media type, platform and annotations that it has.
// Shortened, and safe to show.
std::string spelled_content(std::string_view line);

}  // namespace stele::policy
