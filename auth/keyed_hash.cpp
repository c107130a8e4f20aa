#include "auth/keyed_hash.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <stdexcept>

namespace stele::auth {
namespace {

constexpr std::size_t key_bytes = 32;

std::string random_bytes(std::size_t size) {
  std::string bytes(size, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(size)) != 1)
    throw std::runtime_error("no random numbers can be had");
  return bytes;
}

}  // namespace

KeyedHash::KeyedHash() : key_(random_bytes(key_bytes)) {}

std::string KeyedHash::of(std::string_view first, std::string_view second) const {
  std::string input(first);
  input += '\0';
  input += second;
  std::string digest(EVP_MAX_MD_SIZE, '\0');
  unsigned length = 0;
  HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()),
       reinterpret_cast<const unsigned char*>(input.data()), input.size(),
       reinterpret_cast<unsigned char*>(digest.data()), &length);
  digest.resize(length);
  return digest;
}

}  // namespace stele::auth
