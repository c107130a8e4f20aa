#include "api/sealed_positions.hpp"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <memory>
#include <span>
#include <stdexcept>
#include <vector>

#include "base/hex.hpp"
#include "base/reference.hpp"

namespace stele::api {
namespace {

constexpr std::size_t nonce_bytes = 12;
constexpr std::size_t tag_bytes = 16;
constexpr std::size_t plain_bytes = RepositoryName::max_bytes + 1;  // filled up with zeros
constexpr std::size_t sealed_bytes = nonce_bytes + plain_bytes + tag_bytes;

using Bytes = std::vector<unsigned char>;
using Context = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

void fill_randomly(unsigned char* bytes, std::size_t count) {
  if (RAND_bytes(bytes, static_cast<int>(count)) != 1)
    throw std::runtime_error("the system gives no random bytes");
}

Error no_position() {
  return Error(Errc::parameter_invalid,
               "this is not a position that the running server named; begin the list again");
}

}  // namespace

SealedPositions::SealedPositions() : key_() {
  fill_randomly(key_.data(), key_.size());
}

std::string SealedPositions::seal(std::string_view name) const {
  Bytes plain(plain_bytes, 0);
  std::copy_n(name.begin(), std::min(name.size(), plain_bytes - 1), plain.begin());
  Bytes sealed(sealed_bytes, 0);
  const std::span<unsigned char> all(sealed);
  fill_randomly(sealed.data(), nonce_bytes);
  const auto body = all.subspan(nonce_bytes, plain_bytes), tag = all.subspan(nonce_bytes + plain_bytes);
  const Context context(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
  int written = 0;
  const bool done =
      context &&
      EVP_EncryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, key_.data(), sealed.data()) == 1 &&
      EVP_EncryptUpdate(context.get(), body.data(), &written, plain.data(), static_cast<int>(plain_bytes)) ==
          1 &&
      EVP_EncryptFinal_ex(context.get(), nullptr, &written) == 1 &&
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, static_cast<int>(tag_bytes), tag.data()) == 1;
  if (!done) throw std::runtime_error("OpenSSL cannot encrypt");
  return "~" + to_hex(sealed);
}

Result<std::string> SealedPositions::open(std::string_view position) const {
  if (!position.starts_with('~')) return std::string(position);
  auto sealed = from_hex(position.substr(1));
  if (!sealed || sealed->size() != sealed_bytes) return no_position();
  const std::span<unsigned char> all(*sealed);
  const auto body = all.subspan(nonce_bytes, plain_bytes), tag = all.subspan(nonce_bytes + plain_bytes);
  Bytes plain(plain_bytes, 0);
  const Context context(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
  int written = 0;
  const bool good =
      context &&
      EVP_DecryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, key_.data(), sealed->data()) == 1 &&
      EVP_DecryptUpdate(context.get(), plain.data(), &written, body.data(), static_cast<int>(plain_bytes)) ==
          1 &&
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, static_cast<int>(tag_bytes), tag.data()) ==
          1 &&
      EVP_DecryptFinal_ex(context.get(), nullptr, &written) == 1;
  if (!good) return no_position();
  return std::string(plain.begin(), std::find(plain.begin(), plain.end(), 0));
}

}  // namespace stele::api
