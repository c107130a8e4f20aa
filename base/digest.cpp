#include "base/digest.hpp"

#include "base/bytes.hpp"
#include "base/hasher.hpp"
#include "base/printable.hpp"

namespace stele {

std::string_view to_string(DigestAlgorithm algorithm) {
  return algorithm == DigestAlgorithm::sha256 ? "sha256" : "sha512";
}

Result<DigestAlgorithm> parse_digest_algorithm(std::string_view text) {
  if (text == "sha256") return DigestAlgorithm::sha256;
  if (text == "sha512") return DigestAlgorithm::sha512;
  return Error(Errc::digest_invalid,
               "digest algorithm " + in_quotes(text) + " is not supported; use sha256 or sha512");
}

Result<Digest> Digest::parse(std::string_view text) {
  const bool is256 = text.starts_with("sha256:");
  const bool is512 = text.starts_with("sha512:");
  const std::size_t digits = is256 ? 64 : 128;
  bool valid = (is256 || is512) && text.size() == 7 + digits;
  for (std::size_t i = 7; valid && i < text.size(); ++i) {
    valid = (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f');
  }
  if (!valid) {
    return Error(Errc::digest_invalid, in_quotes(text) +
                                           " is not a digest; expected sha256:<64 hex digits> or "
                                           "sha512:<128 hex digits>, lower case");
  }
  return Digest(std::string(text));
}

Digest Digest::of(DigestAlgorithm algorithm, std::string_view bytes) {
  Hasher hasher(algorithm);
  hasher.update(as_bytes(bytes));
  return hasher.finish();
}

}  // namespace stele
