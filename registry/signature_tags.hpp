#pragma once
// Internal to registry/: the tags that cosign and the referrers fallback make for what belongs to a digest:
// sha256-<hex>, with or without a suffix.

#include <array>
#include <string>
#include <vector>

#include "base/digest.hpp"
#include "base/reference.hpp"

namespace stele {

inline std::vector<Tag> signature_tags(const Digest& digest) {
  static constexpr std::array<std::string_view, 4> suffixes{"", ".sig", ".att", ".sbom"};
  std::vector<Tag> tags;
  for (const std::string_view suffix : suffixes) {
    std::string text = digest.str() + std::string(suffix);
    text[text.find(':')] = '-';
    if (auto tag = Tag::parse(text)) tags.push_back(std::move(*tag));  // none is too long for sha256
  }
  return tags;
}

}  // namespace stele
