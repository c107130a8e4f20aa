#include "auth/json_web_keys.hpp"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/params.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "auth/base64.hpp"
#include "auth/jws.hpp"
#include "auth/openssl_owners.hpp"
#include "base/strict_json.hpp"

namespace stele::auth {
namespace {

using Json = nlohmann::json;

constexpr std::size_t least_modulus = 256;  // bytes: 2048 bits
constexpr std::size_t most_modulus = 1024;  // what is larger only costs time
constexpr std::size_t most_exponent = 8;
constexpr std::size_t coordinate = 32;

using OwnKey = std::shared_ptr<EVP_PKEY>;
using OwnKeyContext = Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;
using OwnBuilder = Owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free>;
using OwnParameters = Owned<OSSL_PARAM, OSSL_PARAM_free>;
using OwnNumber = Owned<BIGNUM, BN_free>;

std::string text_of(const Json& object, const char* name) {
  const auto member = object.find(name);
  return member != object.end() && member->is_string() ? member->get<std::string>() : std::string();
}

// Bytes of a member in base 64, without leading zeros where it is a number; empty when it is none.
std::string octets_of(const Json& object, const char* name) {
  return base64url_decode(text_of(object, name)).value_or("");
}

OwnKey build(const char* kind, OSSL_PARAM_BLD* builder) {
  const OwnParameters parameters(OSSL_PARAM_BLD_to_param(builder));
  const OwnKeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, kind, nullptr));
  EVP_PKEY* key = nullptr;
  // For EC this refuses a point that is not on the curve.
  if (!parameters || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters.get()) != 1)
    return nullptr;
  return OwnKey(key, Freer<EVP_PKEY_free>());
}

OwnNumber number_of(const std::string& bytes) {
  return OwnNumber(BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes.data()),
                             static_cast<int>(bytes.size()), nullptr));
}

OwnKey rsa_key(const Json& jwk) {
  const std::string n = octets_of(jwk, "n"), e = octets_of(jwk, "e");
  if (n.size() < least_modulus || n.size() > most_modulus || e.empty() || e.size() > most_exponent)
    return nullptr;
  const OwnNumber modulus = number_of(n), exponent = number_of(e);
  const OwnBuilder builder(OSSL_PARAM_BLD_new());
  // An exponent of 1 makes every text its own signature.
  if (!modulus || !exponent || !builder ||
      static_cast<std::size_t>(BN_num_bits(modulus.get())) < 8 * least_modulus ||
      BN_is_odd(exponent.get()) != 1 || BN_is_one(exponent.get()) == 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get()) != 1)
    return nullptr;
  return build("RSA", builder.get());
}

OwnKey ec_key(const Json& jwk) {
  const std::string x = octets_of(jwk, "x"), y = octets_of(jwk, "y");
  if (text_of(jwk, "crv") != "P-256" || x.size() != coordinate || y.size() != coordinate) return nullptr;
  const std::string point = "\x04" + x + y;  // uncompressed
  const OwnBuilder builder(OSSL_PARAM_BLD_new());
  if (!builder ||
      OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) !=
          1)
    return nullptr;
  return build("EC", builder.get());
}

bool is_for_signatures(const Json& jwk, std::string_view algorithm) {
  const std::string use = text_of(jwk, "use"), own = text_of(jwk, "alg");
  const auto operations = jwk.find("key_ops");
  const bool verifies = operations == jwk.end() ||
                        (operations->is_array() &&
                         std::find(operations->begin(), operations->end(), "verify") != operations->end());
  return (use.empty() || use == "sig") && (own.empty() || own == algorithm) && verifies;
}

Error unusable(const std::string& why) {
  return Error(Errc::parameter_invalid, why);
}

}  // namespace

struct JsonWebKeys::Key {
  std::string id;  // empty: it has none
  std::string algorithm;
  OwnKey pkey;
};

Result<JsonWebKeys> JsonWebKeys::parse(std::string_view text) {
  if (text.size() > max_bytes) return unusable("the set of keys is larger than 1 MiB");
  const auto parsed = parse_strict_json(text, "the set of keys");
  if (!parsed) return unusable(parsed.error().message());
  const auto entries = parsed->is_object() ? parsed->find("keys") : parsed->end();
  if (!parsed->is_object() || entries == parsed->end() || !entries->is_array())
    return unusable("it is no set of keys: a JSON object with the list keys");
  if (entries->size() > max_keys) return unusable("the set has more than 200 keys");
  auto keys = std::make_shared<std::vector<Key>>();
  for (const Json& jwk : *entries) {
    if (!jwk.is_object()) continue;
    Key key;
    key.id = text_of(jwk, "kid");
    const std::string kind = text_of(jwk, "kty");
    if (kind == "RSA" && is_for_signatures(jwk, "RS256")) {
      key.algorithm = "RS256";
      key.pkey = rsa_key(jwk);
    } else if (kind == "EC" && is_for_signatures(jwk, "ES256")) {
      key.algorithm = "ES256";
      key.pkey = ec_key(jwk);
    }
    if (key.pkey) keys->push_back(std::move(key));
  }
  if (keys->empty())
    return unusable("none of the set's keys is one for signatures by RS256 (2048 bits or more) or ES256");
  return JsonWebKeys(std::move(keys));
}

JsonWebKeys::Outcome JsonWebKeys::verify(std::string_view algorithm, std::string_view key,
                                         std::string_view text, std::string_view signature) const {
  if (key.empty() && keys_->size() != 1) return Outcome::no_such_key;
  Outcome outcome = Outcome::no_such_key;
  for (const Key& known : *keys_) {
    if (known.algorithm != algorithm || (!key.empty() && known.id != key)) continue;
    const bool good = algorithm == "RS256" ? verifies_rs256(known.pkey.get(), text, signature)
                                           : verifies_es256(known.pkey.get(), text, signature);
    if (good) return Outcome::verified;
    outcome = Outcome::wrong;
  }
  return outcome;
}

}  // namespace stele::auth
