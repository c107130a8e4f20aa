#pragma once
// Internal to registry/: the tags that cosign and the referrers fallback make for what belongs to a digest:
// <algorithm>-<hex>, with or without a suffix.

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.hpp"
#include "base/reference.hpp"

namespace stele {

// The texts that stand for a digest in a tag. A sha512 one does not fit: the specification cuts its hex
// digits to 64 (distribution-spec, "Referrers Tag Schema"), other programs cut the tag to its greatest
// length.
inline std::vector<std::string> tag_texts(const Digest& digest) {
  constexpr std::size_t longest_hex = 64;
  const std::string begin = std::string(to_string(digest.algorithm())) + "-";
  std::vector<std::string> texts{begin + std::string(digest.hex().substr(0, longest_hex))};
  if (digest.hex().size() > longest_hex)
    texts.push_back((begin + std::string(digest.hex())).substr(0, Tag::max_bytes));
  return texts;
}

inline std::vector<Tag> signature_tags(const Digest& digest) {
  static constexpr std::array<std::string_view, 4> suffixes{"", ".sig", ".att", ".sbom"};
  std::vector<Tag> tags;
  for (const std::string& text : tag_texts(digest)) {
    for (const std::string_view suffix : suffixes) {
      if (auto tag = Tag::parse(text + std::string(suffix))) tags.push_back(std::move(*tag));
    }
  }
  return tags;
}

}  // namespace stele
