#include "mirror/aws_signature.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>
#include <vector>

#include "base/digest.hpp"
#include "base/hex.hpp"

namespace stele::mirror {
namespace {

std::string hmac(std::string_view key, std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> out{};
  unsigned length = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), out.data(), &length);
  return {reinterpret_cast<const char*>(out.data()), length};
}

std::string sha256(std::string_view text) {
  return std::string(Digest::of(DigestAlgorithm::sha256, text).hex());
}

}  // namespace

std::string aws_authorization(const AwsRequest& request, const AwsKeys& keys) {
  std::string fields;
  std::string names;
  for (const auto& [name, value] : request.fields) {
    fields += name + ":" + value + "\n";
    names += (names.empty() ? "" : ";") + name;
  }
  const std::string canonical = request.method + "\n" + request.path + "\n" + request.query + "\n" + fields +
                                "\n" + names + "\n" + sha256(request.body);
  const std::string day = request.time.substr(0, 8);
  const std::string scope = day + "/" + request.region + "/" + request.service + "/aws4_request";
  const std::string to_sign = "AWS4-HMAC-SHA256\n" + request.time + "\n" + scope + "\n" + sha256(canonical);
  std::string key = "AWS4" + keys.secret;
  for (const std::string_view part : {std::string_view(day), std::string_view(request.region),
                                      std::string_view(request.service), std::string_view("aws4_request")})
    key = hmac(key, part);
  const std::string mac = hmac(key, to_sign);
  const std::vector<unsigned char> signature(mac.begin(), mac.end());
  return "AWS4-HMAC-SHA256 Credential=" + keys.id + "/" + scope + ", SignedHeaders=" + names +
         ", Signature=" + to_hex(signature);
}

}  // namespace stele::mirror
