#pragma once
// Streaming digests whose state can be saved, so that an upload resumes without reading its bytes again.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/bytes.hpp"
#include "base/digest.hpp"

namespace stele {

// Not thread-safe; may move between threads. hasher.cpp is the only file that knows OpenSSL's context layout:
// EVP digest state cannot be exported in OpenSSL 3.0.
class Hasher {
 public:
  explicit Hasher(DigestAlgorithm);
  Hasher(const Hasher&);
  Hasher& operator=(const Hasher&);

  DigestAlgorithm algorithm() const { return algorithm_; }
  void update(ByteView);
  // The digest of everything so far; the hasher can go on afterwards.
  Digest finish() const;

  // An opaque, versioned image of the state, readable by the same Stele version on the same machine type.
  std::string save() const;
  // corrupt when the image was not made by save() of this build.
  static Result<Hasher> restore(std::string_view image);

 private:
  static constexpr std::size_t state_bytes = 216;  // sizeof(SHA512_CTX), the larger of the two
  DigestAlgorithm algorithm_;
  alignas(8) std::array<std::byte, state_bytes> state_{};
};

// The first eight bytes of SHA-256 over the parts, each preceded by its length: the checksum of catalog rows
// (I6).
std::int64_t row_checksum(std::initializer_list<std::string_view> parts);

}  // namespace stele
