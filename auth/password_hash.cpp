#include "auth/password_hash.hpp"

#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "auth/base64.hpp"

namespace stele::auth {
namespace {

// More would let one line of the file keep a processor busy for many seconds with each attempt.
constexpr int max_bcrypt_cost = 15;
constexpr std::uint64_t max_yescrypt_bytes = 64 << 20;
// crypt_gensalt(3)'s measure: 32 MiB.
constexpr unsigned long new_yescrypt_cost = 6;
constexpr int max_sha512_rounds = 2'000'000;
constexpr int max_pbkdf2_rounds = 10'000'000;
constexpr int min_rounds = 1000;

Error invalid(const std::string& why) {
  return Error(Errc::parameter_invalid, why);
}

bool is_crypt_text(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '/';
  });
}

std::optional<int> number(std::string_view text) {
  int value = 0;
  const auto* const end = text.data() + text.size();
  const auto [stopped, failure] = std::from_chars(text.data(), end, value);
  if (failure != std::errc() || stopped != end || text.empty()) return std::nullopt;
  return value;
}

// The text up to the next "$", which both leave `rest`; all of it when there is none.
std::string_view take_part(std::string_view& rest) {
  const std::size_t dollar = rest.find('$');
  const std::string_view part = rest.substr(0, dollar);
  rest = dollar == std::string_view::npos ? std::string_view() : rest.substr(dollar + 1);
  return part;
}

Error too_costly(std::string_view what, int most) {
  return invalid("its " + std::string(what) + " must be at most " + std::to_string(most) +
                 ": each login would take many seconds");
}

}  // namespace

PasswordHash::PasswordHash(Kind kind, std::string text) : kind_(kind), text_(std::move(text)) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  EVP_Digest(text_.data(), text_.size(), digest.data(), &length, EVP_sha256(), nullptr);
  fingerprint_.assign(digest.begin(), digest.begin() + 16);
}

Result<PasswordHash> PasswordHash::parse(std::string_view text) {
  for (const char* prefix : {"$2a$", "$2b$", "$2y$"}) {
    if (text.starts_with(prefix)) return parse_bcrypt(text);
  }
  if (text.starts_with("$y$")) return parse_yescrypt(text);
  if (text.starts_with("$6$")) return parse_sha512(text);
  if (text.starts_with("$pbkdf2-sha256$") || text.starts_with("$pbkdf2-sha512$")) return parse_pbkdf2(text);
  std::string what = "the password's form is not known";
  if (text.empty()) what = "there is no password behind the colon";
  if (text.starts_with("$apr1$") || text.starts_with("$1$")) what = "MD5 does not protect passwords";
  if (text.starts_with("{SHA}")) what = "SHA-1 without a salt does not protect passwords";
  if (text.starts_with("$5$")) what = "SHA-256 crypt is not accepted";
  return invalid(what +
                 "; accepted are yescrypt (`mkpasswd -m yescrypt`), bcrypt (`htpasswd -B`), SHA-512 crypt "
                 "(`openssl passwd -6`) and PBKDF2 " +
                 "($pbkdf2-sha256$… or $pbkdf2-sha512$…)");
}

Result<PasswordHash> PasswordHash::make(const std::string& password) {
  if (password.empty() || password.size() > max_password || password.find('\0') != std::string::npos)
    return invalid("a password has 1 to " + std::to_string(max_password) + " bytes, none of them NUL");
  std::array<char, CRYPT_GENSALT_OUTPUT_SIZE> setting{};
  const auto scratch = std::make_unique<crypt_data>();
  const char* const salt = crypt_gensalt_rn("$y$", new_yescrypt_cost, nullptr, 0, setting.data(),
                                            static_cast<int>(setting.size()));
  const char* const made = salt ? crypt_r(password.c_str(), salt, scratch.get()) : nullptr;
  Result<PasswordHash> hash = Error(Errc::internal, "the password cannot be hashed here: libxcrypt refuses");
  if (made) hash = parse(made);
  OPENSSL_cleanse(scratch.get(), sizeof(crypt_data));
  return hash;
}

// "$y$j9T$", a salt, "$" and 43 characters of hash. Of the parameters the flavour (j), the logarithm of the
// number of blocks and the blocks' size are understood, each as one character, as crypt_gensalt(3) makes
// them.
Result<PasswordHash> PasswordHash::parse_yescrypt(std::string_view text) {
  constexpr std::size_t hash_length = 43, max_salt = 86;
  constexpr std::string_view digits = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  std::string_view rest = text.substr(3);
  const std::string_view parameters = take_part(rest);
  const std::string_view salt = take_part(rest);
  if (parameters.size() != 3 || parameters[0] != 'j' || !is_crypt_text(parameters) || salt.empty() ||
      salt.size() > max_salt || !is_crypt_text(salt) || rest.size() != hash_length || !is_crypt_text(rest))
    return invalid("it begins like yescrypt and is none of $y$j..$SALT$HASH: is the line cut off?");
  const std::uint64_t logarithm = digits.find(parameters[1]) + 1, size = digits.find(parameters[2]) + 1;
  if (logarithm > 32 || (128 * size) << logarithm > max_yescrypt_bytes) {
    return invalid(
        "its cost must be at most 7 (`mkpasswd -m yescrypt -R 7`): each login would take more than " +
        std::to_string(max_yescrypt_bytes >> 20) + " MiB of memory");
  }
  return PasswordHash(Kind::crypt, std::string(text));
}

Result<PasswordHash> PasswordHash::parse_bcrypt(std::string_view text) {
  constexpr std::size_t length = 60;  // "$2y$10$", 22 characters of salt and 31 of hash
  const auto cost = number(text.substr(4, 2));
  if (text.size() != length || !cost || text[6] != '$' || !is_crypt_text(text.substr(7)))
    return invalid("it begins like bcrypt and is none: is the line cut off?");
  if (*cost < 4) return invalid("bcrypt's cost is at least 4");
  if (*cost > max_bcrypt_cost) return too_costly("cost", max_bcrypt_cost);
  return PasswordHash(Kind::crypt, std::string(text));
}

Result<PasswordHash> PasswordHash::parse_sha512(std::string_view text) {
  constexpr std::size_t hash_length = 86, max_salt = 16;
  constexpr std::string_view rounds_prefix = "rounds=";
  std::string_view rest = text.substr(3);
  std::string_view salt = take_part(rest);
  if (salt.starts_with(rounds_prefix)) {
    const auto rounds = number(salt.substr(rounds_prefix.size()));
    if (!rounds || *rounds < min_rounds) return invalid("its rounds must be a number, at least 1000");
    if (*rounds > max_sha512_rounds) return too_costly("rounds", max_sha512_rounds);
    salt = take_part(rest);
  }
  if (salt.empty() || salt.size() > max_salt || !is_crypt_text(salt) || rest.size() != hash_length ||
      !is_crypt_text(rest))
    return invalid("it begins like SHA-512 crypt and is none: is the line cut off?");
  return PasswordHash(Kind::crypt, std::string(text));
}

Result<PasswordHash> PasswordHash::parse_pbkdf2(std::string_view text) {
  const bool is_256 = text.starts_with("$pbkdf2-sha256$");
  std::string_view rest = text.substr(std::string_view("$pbkdf2-sha256$").size());
  const auto rounds = number(take_part(rest));
  const auto salt = base64_dotted_decode(take_part(rest));
  const auto key = base64_dotted_decode(rest);
  if (!rounds || *rounds < min_rounds) return invalid("its rounds must be a number, at least 1000");
  if (*rounds > max_pbkdf2_rounds) return too_costly("rounds", max_pbkdf2_rounds);
  if (!salt || salt->size() < 8 || salt->size() > 64)
    return invalid("its salt must be 8 to 64 bytes in base 64 without padding, \".\" for \"+\"");
  const std::size_t wanted = is_256 ? 32 : 64;
  if (!key || key->size() != wanted)
    return invalid("its key must be " + std::to_string(wanted) +
                   " bytes in base 64 without padding, \".\" for \"+\"");
  PasswordHash hash(is_256 ? Kind::pbkdf2_sha256 : Kind::pbkdf2_sha512, std::string(text));
  hash.rounds_ = *rounds;
  hash.salt_ = *salt;
  hash.key_ = *key;
  return hash;
}

bool PasswordHash::matches(const std::string& password) const {
  if (password.size() > max_password) return false;
  return kind_ == Kind::crypt ? matches_crypt(password) : matches_pbkdf2(password);
}

bool PasswordHash::matches_crypt(const std::string& password) const {
  const auto scratch = std::make_unique<crypt_data>();  // 32 KiB
  const char* const made = crypt_r(password.c_str(), text_.c_str(), scratch.get());
  const bool same = made != nullptr && std::strlen(made) == text_.size() &&
                    CRYPTO_memcmp(made, text_.data(), text_.size()) == 0;
  OPENSSL_cleanse(scratch.get(), sizeof(crypt_data));
  return same;
}

bool PasswordHash::matches_pbkdf2(const std::string& password) const {
  std::vector<unsigned char> made(key_.size());
  const EVP_MD* const digest = kind_ == Kind::pbkdf2_sha256 ? EVP_sha256() : EVP_sha512();
  const int done =
      PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()),
                        reinterpret_cast<const unsigned char*>(salt_.data()), static_cast<int>(salt_.size()),
                        rounds_, digest, static_cast<int>(made.size()), made.data());
  return done == 1 && CRYPTO_memcmp(made.data(), key_.data(), made.size()) == 0;
}

}  // namespace stele::auth
