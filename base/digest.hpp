#pragma once
// A content digest: image-spec, descriptor.md, "Digests". Parsed once at the edge; inside it is always
// well-formed.

#include <string>
#include <string_view>

#include "base/result.hpp"

namespace stele {

enum class DigestAlgorithm { sha256, sha512 };

// "sha256", "sha512".
std::string_view to_string(DigestAlgorithm);

// digest_invalid for anything but the two names above.
Result<DigestAlgorithm> parse_digest_algorithm(std::string_view);

// `sha256:<64 lower-case hex digits>` or `sha512:<128>`. A value type, ordered bytewise.
class Digest {
 public:
  // digest_invalid unless the text is exactly one of the two forms.
  static Result<Digest> parse(std::string_view text);
  // The digest of bytes that are at hand. For streams: base/hasher.hpp.
  static Digest of(DigestAlgorithm, std::string_view bytes);

  DigestAlgorithm algorithm() const {
    return text_[3] == '2' ? DigestAlgorithm::sha256 : DigestAlgorithm::sha512;
  }
  std::string_view hex() const { return std::string_view(text_).substr(7); }
  const std::string& str() const { return text_; }

  friend auto operator<=>(const Digest&, const Digest&) = default;

 private:
  explicit Digest(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

}  // namespace stele

template <>
struct std::hash<stele::Digest> {
  std::size_t operator()(const stele::Digest& digest) const noexcept {
    return std::hash<std::string>()(digest.str());
  }
};
