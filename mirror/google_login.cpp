// Google's registries: an access token as the password, for a service account's key (RFC 7523) or from the
// machine's metadata service.
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>

#include "http/address_kind.hpp"
#include "http/uri.hpp"
#include "mirror/account.hpp"
#include "mirror/cloud_request.hpp"

namespace stele::mirror {
namespace {

constexpr std::int64_t assertion_life = 600;
constexpr std::int64_t longest_google_life = 3600;

struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  void operator()(BIO* bio) const { BIO_free_all(bio); }
};

std::string base64url(std::string_view bytes) {
  std::string text = base64(bytes);
  while (text.ends_with('=')) text.pop_back();
  std::replace(text.begin(), text.end(), '+', '-');
  std::replace(text.begin(), text.end(), '/', '_');
  return text;
}

// RSASSA-PKCS1-v1_5 with SHA-256 (RS256); empty when the key is none.
std::string rs256(const std::string& pem, const std::string& text) {
  const std::unique_ptr<BIO, FreeKey> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  // A key with a pass phrase is refused instead of asked for at the terminal.
  const auto no_phrase = [](char*, int, int, void*) { return -1; };
  const std::unique_ptr<EVP_PKEY, FreeKey> key(
      PEM_read_bio_PrivateKey(bio.get(), nullptr, no_phrase, nullptr));
  if (!key || EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_RSA) return {};
  const std::unique_ptr<EVP_MD_CTX, FreeKey> context(EVP_MD_CTX_new());
  if (EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key.get()) != 1) return {};
  const auto* const bytes = reinterpret_cast<const unsigned char*>(text.data());
  std::size_t length = 0;
  if (EVP_DigestSign(context.get(), nullptr, &length, bytes, text.size()) != 1) return {};
  std::string signature(length, '\0');
  if (EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &length, bytes,
                     text.size()) != 1)
    return {};
  signature.resize(length);
  return signature;
}

Result<Login> google_login_of(const std::string& text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  const std::string token = text_member(json, "access_token");
  if (token.empty()) return Error(Errc::unavailable, "Google answers with what is no access token");
  std::int64_t life = 60;
  if (const auto found = json.find("expires_in"); found != json.end() && found->is_number_integer())
    life = std::clamp<std::int64_t>(found->get<std::int64_t>(), 1, longest_google_life);
  return Login{basic_authorization("oauth2accesstoken", token), std::chrono::seconds(life)};
}

class GoogleLogin final : public LoginSource {
 public:
  GoogleLogin(http::Fetcher& fetcher, const Settings& settings) : fetcher_(fetcher), settings_(settings) {}

  Task<Result<Login>> login() override {
    std::string file = settings_.cloud_key_file;
    if (file.empty()) file = from_environment("GOOGLE_APPLICATION_CREDENTIALS");
    auto request = file.empty() ? of_metadata() : of_key(file);
    if (!request) co_return request.error();
    const auto text = co_await cloud_answer(fetcher_, std::move(*request), "Google gives no access token");
    if (!text) co_return text.error();
    co_return google_login_of(*text);
  }

 private:
  static Result<http::FetchRequest> of_metadata() {
    std::string host = from_environment("GCE_METADATA_HOST");
    if (host.empty()) host = "metadata.google.internal";
    auto request =
        metadata_request("http://" + host + "/computeMetadata/v1/instance/service-accounts/default/token");
    if (request) request->fields.emplace_back("Metadata-Flavor", "Google");
    return request;
  }

  Result<http::FetchRequest> of_key(const std::string& file) const {
    const auto wrong = [&](const std::string& what) { return Error(Errc::unavailable, file + " " + what); };
    const auto text = read_secret_file(file, "the service account's key");
    if (!text) return text.error();
    const auto json = nlohmann::json::parse(*text, nullptr, false);
    const std::string email = text_member(json, "client_email");
    const std::string pem = text_member(json, "private_key");
    const std::string service = text_member(json, "token_uri");
    if (text_member(json, "type") != "service_account" || email.empty() || pem.empty())
      return wrong("is no service account's key");
    const auto url = http::Url::parse(service);
    // The assertion is good for an access token: in the clear it goes to this machine alone.
    if (!url || (!url->secure() && http::kind_of_address(url->host()) != http::AddressKind::loopback))
      return wrong("names a token_uri that is no https URL");
    const std::int64_t now = std::time(nullptr);
    nlohmann::json header = {{"alg", "RS256"}, {"typ", "JWT"}};
    if (const std::string id = text_member(json, "private_key_id"); !id.empty()) header["kid"] = id;
    const nlohmann::json claims = {{"iss", email},
                                   {"scope", "https://www.googleapis.com/auth/cloud-platform"},
                                   {"aud", service},
                                   {"iat", now},
                                   {"exp", now + assertion_life}};
    const std::string to_sign = base64url(header.dump()) + "." + base64url(claims.dump());
    const std::string signature = rs256(pem, to_sign);
    if (signature.empty()) return wrong("holds no RSA key that can sign");
    auto request = cloud_request(settings_, service);
    if (!request) return request;
    request->method = "POST";
    request->fields.emplace_back("Content-Type", "application/x-www-form-urlencoded");
    request->body = "grant_type=" + http::percent_encode("urn:ietf:params:oauth:grant-type:jwt-bearer") +
                    "&assertion=" + to_sign + "." + base64url(signature);
    return request;
  }

  http::Fetcher& fetcher_;
  const Settings settings_;
};

}  // namespace

std::unique_ptr<LoginSource> google_login(http::Fetcher& fetcher, const Settings& settings) {
  return std::make_unique<GoogleLogin>(fetcher, settings);
}

}  // namespace stele::mirror
