// Tokens whose signature is no signature, or another one's, against the two kinds of token that keys known
// here vouch for: this registry's own, and those of another token server.
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "auth/base64.hpp"
#include "auth/external_tokens.hpp"
#include "auth/signing_key.hpp"
#include "auth/tokens.hpp"
#include "base/random.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/auth/set_clock.hpp"

namespace stele::auth {
namespace {

using Json = nlohmann::json;

std::string hmac(const std::string& key, const std::string& text) {
  std::string out(EVP_MAX_MD_SIZE, '\0');
  unsigned length = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(),
       reinterpret_cast<unsigned char*>(out.data()), &length);
  out.resize(length);
  return out;
}

struct FreeBio {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};

// The public half, as PEM or as DER, from the private one.
std::string public_half(const SigningKey& key, bool pem) {
  const std::string whole = key.to_pem();
  const std::unique_ptr<BIO, FreeBio> in(BIO_new_mem_buf(whole.data(), static_cast<int>(whole.size())));
  const std::unique_ptr<EVP_PKEY, FreeKey> read(PEM_read_bio_PrivateKey(in.get(), nullptr, nullptr, nullptr));
  const std::unique_ptr<BIO, FreeBio> out(BIO_new(BIO_s_mem()));
  REQUIRE((pem ? PEM_write_bio_PUBKEY(out.get(), read.get()) : i2d_PUBKEY_bio(out.get(), read.get())) == 1);
  char* bytes = nullptr;
  const long length = BIO_get_mem_data(out.get(), &bytes);
  return std::string(bytes, static_cast<std::size_t>(length));
}

struct Forged {
  std::string how;
  std::string token;
};

// `good`: a token that is accepted. `key`: the one that signed it.
std::vector<Forged> forgeries(const std::string& good, const SigningKey& key) {
  std::vector<Forged> all;
  const std::string body = good.substr(good.find('.') + 1, good.rfind('.') - good.find('.') - 1);
  const Json header = Json::parse(base64url_decode(good.substr(0, good.find('.'))).value());
  const auto text_of = [&](const Json& changes) {
    Json changed = header;
    changed.update(changes);
    return base64url_encode(changed.dump()) + "." + body;
  };

  for (const char* none : {"none", "None", "NONE", "nOnE", ""}) {
    const std::string text = text_of({{"alg", none}});
    all.push_back({std::string("alg '") + none + "', no signature", text + "."});
    all.push_back({std::string("alg '") + none + "', two parts", text});
    all.push_back({std::string("alg '") + none + "', signed all the same",
                   text + "." + base64url_encode(key.sign(text).value())});
  }
  for (const Json& other :
       {Json(nullptr), Json(1), Json::array({"ES256"}), Json("ES256 "), Json("es256"), Json("ES384")}) {
    const std::string text = text_of({{"alg", other}});
    all.push_back({"alg " + other.dump(), text + "." + base64url_encode(key.sign(text).value())});
  }

  // The public half as a secret, in whatever spelling somebody might hold it.
  const std::string jwk = key.public_jwk();
  const std::pair<const char*, std::string> spellings[] = {
      {"JWK", jwk},
      {"key set", "{\"keys\":[" + jwk + "]}"},
      {"PEM", public_half(key, true)},
      {"DER", public_half(key, false)},
      {"x", base64url_decode(Json::parse(jwk)["x"].get<std::string>()).value()},
      {"kid", key.id()},
      {"nothing", ""}};
  for (const auto& [spelling, secret] : spellings) {
    for (const char* algorithm : {"HS256", "ES256"}) {
      const std::string text = text_of({{"alg", algorithm}});
      all.push_back({std::string(algorithm) + ", an HMAC by the public " + spelling,
                     text + "." + base64url_encode(hmac(secret, text))});
    }
  }

  // The attacker's own key, which signs as it should, and the header says where it is.
  const SigningKey attackers = SigningKey::make().value();
  const Json public_key = Json::parse(attackers.public_jwk());
  const Json headers[] = {{},
                          {{"kid", attackers.id()}},
                          {{"jwk", public_key}},
                          {{"jwk", public_key}, {"kid", attackers.id()}},
                          {{"jwk", public_key.dump()}, {"kid", attackers.id()}},
                          {{"jwks", {{"keys", {public_key}}}}, {"kid", attackers.id()}},
                          {{"jku", "https://attacker.example/keys"}, {"kid", attackers.id()}},
                          {{"x5u", "https://attacker.example/chain"}, {"kid", attackers.id()}},
                          {{"x5c", Json::array({base64url_encode(public_half(attackers, false))})}},
                          {{"kid", "../../../dev/null"}},
                          {{"kid", "/proc/self/environ"}},
                          {{"kid", "' OR 1=1 --"}},
                          {{"kid", ""}},
                          {{"kid", nullptr}},
                          {{"kid", Json::array({key.id(), attackers.id()})}},
                          {{"kid", public_key}},
                          {{"crit", {"jwk"}}, {"jwk", public_key}},
                          {{"b64", false}}};
  for (const Json& changes : headers) {
    const std::string text = text_of(changes.is_null() ? Json::object() : changes);
    all.push_back({"signed by an attacker, whose header says " + changes.dump(),
                   text + "." + base64url_encode(attackers.sign(text).value())});
  }
  // His, with the right one's key beside it, and the other way round.
  Json both = header;
  both["jwk"] = Json::parse(jwk);
  const std::string text = base64url_encode(both.dump()) + "." + body;
  all.push_back({"the right public key in the header, signed by an attacker",
                 text + "." + base64url_encode(attackers.sign(text).value())});
  return all;
}

TEST_CASE("forged tokens: none passes for this registry's own") {
  const std::string directory =
      (std::filesystem::temp_directory_path() / ("stele-forged-" + random_hex(8))).string();
  std::filesystem::create_directory(directory);
  SetClock clock;
  TokenKeys keys(directory + "/token-keys.json", clock);
  REQUIRE(keys.open().has_value());
  const Tokens tokens({}, keys, clock);
  TokenClaims claims;
  claims.subject = "user:alice";
  claims.scopes = {"repository:app:pull"};
  for (const auto use : {Tokens::Use::request, Tokens::Use::refresh}) {
    claims.login = use == Tokens::Use::refresh ? 7 : 0;
    const std::string good = tokens.make(use, claims).value();
    REQUIRE(tokens.read(use, good).has_value());
    for (const Forged& forged : forgeries(good, keys.signing())) {
      INFO(forged.how);
      CHECK_FALSE(tokens.read(use, forged.token).has_value());
    }
    CHECK(tokens.read(use, good).has_value());
  }
  std::filesystem::remove_all(directory);
}

TEST_CASE("forged tokens: none passes for another token server's") {
  const std::string path =
      (std::filesystem::temp_directory_path() / ("stele-forged-" + random_hex(8))).string();
  SetClock clock;
  const SigningKey key = SigningKey::make().value();
  std::ofstream(path) << "{\"keys\":[" << key.public_jwk() << "]}";
  ExternalTokens tokens({"tokens.example", "registry.example", path}, clock, clock);
  REQUIRE(tokens.renew().has_value());
  const Json body{{"iss", "tokens.example"},
                  {"sub", "alice"},
                  {"aud", "registry.example"},
                  {"exp", clock.now().microseconds / 1'000'000 + 300}};
  const std::string text =
      base64url_encode(Json{{"alg", "ES256"}, {"typ", "JWT"}, {"kid", key.id()}}.dump()) + "." +
      base64url_encode(body.dump());
  const std::string good = text + "." + base64url_encode(key.sign(text).value());
  REQUIRE(sync_wait(tokens.identify(good)).has_value());
  for (const Forged& forged : forgeries(good, key)) {
    INFO(forged.how);
    CHECK_FALSE(sync_wait(tokens.identify(forged.token)).has_value());
  }
  CHECK(sync_wait(tokens.identify(good)).has_value());
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace stele::auth
