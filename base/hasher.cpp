// The low-level SHA interface is deprecated in OpenSSL 3.0, and the only one with exportable state.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/hasher.hpp"

#include <openssl/sha.h>

#include <array>
#include <cstring>
#include <span>

#include "base/hex.hpp"

namespace stele {
namespace {

constexpr std::string_view image_magic = "stele-hash-1";

template <class Context>
Context load(const void* state) {
  Context context;
  std::memcpy(&context, state, sizeof context);
  return context;
}

}  // namespace

Hasher::Hasher(DigestAlgorithm algorithm) : algorithm_(algorithm) {
  static_assert(sizeof(SHA256_CTX) <= state_bytes && sizeof(SHA512_CTX) <= state_bytes);
  if (algorithm_ == DigestAlgorithm::sha256) {
    SHA256_Init(reinterpret_cast<SHA256_CTX*>(state_.data()));
  } else {
    SHA512_Init(reinterpret_cast<SHA512_CTX*>(state_.data()));
  }
}

Hasher::Hasher(const Hasher&) = default;
Hasher& Hasher::operator=(const Hasher&) = default;

void Hasher::update(ByteView bytes) {
  if (algorithm_ == DigestAlgorithm::sha256) {
    SHA256_Update(reinterpret_cast<SHA256_CTX*>(state_.data()), bytes.data(), bytes.size());
  } else {
    SHA512_Update(reinterpret_cast<SHA512_CTX*>(state_.data()), bytes.data(), bytes.size());
  }
}

Digest Hasher::finish() const {
  std::array<unsigned char, SHA512_DIGEST_LENGTH> raw{};
  std::size_t length = SHA512_DIGEST_LENGTH;
  if (algorithm_ == DigestAlgorithm::sha256) {
    auto context = load<SHA256_CTX>(state_.data());
    SHA256_Final(raw.data(), &context);
    length = SHA256_DIGEST_LENGTH;
  } else {
    auto context = load<SHA512_CTX>(state_.data());
    SHA512_Final(raw.data(), &context);
  }
  return Digest::parse(std::string(to_string(algorithm_)) + ':' + to_hex(std::span(raw).first(length)))
      .value();
}

std::string Hasher::save() const {
  std::string image(image_magic);
  image += algorithm_ == DigestAlgorithm::sha256 ? '2' : '5';
  image.append(reinterpret_cast<const char*>(state_.data()), state_.size());
  return image;
}

Result<Hasher> Hasher::restore(std::string_view image) {
  if (image.size() != image_magic.size() + 1 + state_bytes || !image.starts_with(image_magic)) {
    return Error(Errc::corrupt, "the saved digest state of the upload cannot be read");
  }
  Hasher hasher(image[image_magic.size()] == '2' ? DigestAlgorithm::sha256 : DigestAlgorithm::sha512);
  std::memcpy(hasher.state_.data(), image.data() + image_magic.size() + 1, state_bytes);
  // `num` is the fill of the context's block buffer: a value past it would make the next update write out of
  // bounds.
  const bool sane = hasher.algorithm_ == DigestAlgorithm::sha256
                        ? load<SHA256_CTX>(hasher.state_.data()).num < SHA256_CBLOCK &&
                              load<SHA256_CTX>(hasher.state_.data()).md_len == SHA256_DIGEST_LENGTH
                        : load<SHA512_CTX>(hasher.state_.data()).num < SHA512_CBLOCK &&
                              load<SHA512_CTX>(hasher.state_.data()).md_len == SHA512_DIGEST_LENGTH;
  if (!sane) return Error(Errc::corrupt, "the saved digest state of the upload is damaged");
  return hasher;
}

std::int64_t row_checksum(std::initializer_list<std::string_view> parts) {
  SHA256_CTX context;
  SHA256_Init(&context);
  for (const std::string_view part : parts) {
    const std::uint64_t size = part.size();
    SHA256_Update(&context, &size, sizeof size);
    SHA256_Update(&context, part.data(), part.size());
  }
  unsigned char raw[SHA256_DIGEST_LENGTH];
  SHA256_Final(raw, &context);
  std::int64_t checksum = 0;
  std::memcpy(&checksum, raw, sizeof checksum);
  return checksum;
}

}  // namespace stele
