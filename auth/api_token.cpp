#include "auth/api_token.hpp"

#include <algorithm>

#include "base/digest.hpp"
#include "base/random.hpp"

namespace stele::auth {
namespace {

constexpr std::string_view prefix = "stele_";
constexpr std::size_t random_digits = 40, check_digits = 8;

// The first digits of the hash of what stands before.
std::string check_of(std::string_view token) {
  return std::string(Digest::of(DigestAlgorithm::sha256, token).hex().substr(0, check_digits));
}

}  // namespace

std::string make_api_token() {
  const std::string token = std::string(prefix) + random_hex(random_digits / 2);
  return token + check_of(token);
}

bool is_api_token(std::string_view text) {
  if (!text.starts_with(prefix) || text.size() != prefix.size() + random_digits + check_digits) return false;
  const std::size_t begin = text.size() - check_digits;
  return check_of(text.substr(0, begin)) == text.substr(begin);
}

bool resembles_api_token(std::string_view text) {
  constexpr std::size_t enough = 16;
  const std::size_t begin = text.find(prefix);
  if (begin == std::string_view::npos) return false;
  const std::string_view digits = text.substr(begin + prefix.size(), enough);
  return digits.size() == enough &&
         digits.find_first_not_of("0123456789abcdefABCDEF") == std::string_view::npos;
}

std::string api_token_hash(std::string_view token) {
  return Digest::of(DigestAlgorithm::sha256, token).str();
}

}  // namespace stele::auth
