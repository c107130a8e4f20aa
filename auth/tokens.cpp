#include "auth/tokens.hpp"

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "auth/base64.hpp"
#include "auth/wrong_login.hpp"
#include "base/random.hpp"
#include "base/strict_json.hpp"

namespace stele::auth {
namespace {

using Json = nlohmann::json;

constexpr std::size_t max_token = 32 * 1024;  // the claims of an ID token, and what it is limited to
constexpr std::int64_t leeway = 60;           // seconds, of our own clock's jumps

// Of a part of a token, which is base 64 of a JSON object. Null when it is none.
Json object_of(std::string_view part) {
  const auto text = base64url_decode(part);
  if (!text) return nullptr;
  auto parsed = parse_strict_json(*text, "a token");
  return parsed && parsed->is_object() ? std::move(*parsed) : Json(nullptr);
}

std::string text_of(const Json& object, const char* name) {
  const auto member = object.find(name);
  return member != object.end() && member->is_string() ? member->get<std::string>() : std::string();
}

// For whoever else reads our tokens: the member that the token specification names.
nlohmann::ordered_json access_of(const std::vector<std::string>& scopes) {
  nlohmann::ordered_json access = nlohmann::ordered_json::array();
  for (const std::string& scope : scopes) {
    const std::size_t first = scope.find(':'), last = scope.rfind(':');
    if (first == std::string::npos) continue;
    nlohmann::ordered_json actions = nlohmann::ordered_json::array();
    std::string_view rest = std::string_view(scope).substr(last + 1);
    while (!rest.empty()) {
      const std::size_t comma = rest.find(',');
      actions.push_back(rest.substr(0, comma));
      rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
    }
    access.push_back({{"type", scope.substr(0, first)},
                      {"name", scope.substr(first + 1, last - first - 1)},
                      {"actions", actions}});
  }
  return access;
}

}  // namespace

std::string Tokens::audience(Use use) const {
  return use == Use::request ? settings_.service : settings_.service + "/token";
}

namespace {

void write_session(const TokenClaims& claims, nlohmann::ordered_json& body) {
  if (claims.issuer.empty()) return;
  body["issuer"] = claims.issuer;
  nlohmann::ordered_json said = nlohmann::ordered_json::object();
  for (const Claim& claim : claims.claims) said[claim.name] = claim.value;
  body["claims"] = said;
  if (claims.session_ends != 0) body["session_ends"] = claims.session_ends;
}

// False when it is not complete.
bool read_session(const Json& body, TokenClaims& claims) {
  claims.issuer = text_of(body, "issuer");
  if (const auto said = body.find("claims"); said != body.end() && said->is_object()) {
    for (const auto& [name, value] : said->items()) {
      if (!value.is_string()) return false;
      Claim claim;
      claim.name = name;
      claim.value = value.get<std::string>();
      claims.claims.push_back(std::move(claim));
    }
  }
  if (const auto ends = body.find("session_ends"); ends != body.end()) {
    if (!ends->is_number_integer() || ends->get<std::int64_t>() <= 0) return false;
    claims.session_ends = ends->get<std::int64_t>();
  }
  return true;
}

}  // namespace

std::int64_t Tokens::request_seconds(const TokenClaims& claims) const {
  constexpr std::int64_t shortest = 300;
  if (claims.expires_at == 0) return settings_.seconds;
  return std::min(settings_.seconds, std::max(claims.expires_at - now(), shortest));
}

Result<std::string> Tokens::make(Use use, TokenClaims claims) const {
  const SigningKey key = keys_.signing();
  const std::int64_t at = now();
  const nlohmann::ordered_json header{{"alg", "ES256"}, {"typ", "JWT"}, {"kid", key.id()}};
  std::int64_t expires_at = at + (use == Use::request ? request_seconds(claims) : settings_.refresh_seconds);
  if (use == Use::refresh && claims.session_ends != 0) expires_at = claims.session_ends;
  nlohmann::ordered_json body{{"iss", settings_.service},
                              {"sub", claims.subject},
                              {"aud", audience(use)},
                              {"exp", expires_at},
                              {"iat", at},
                              {"jti", random_hex(16)}};
  if (!claims.fingerprint.empty()) body["fingerprint"] = base64url_encode(claims.fingerprint);
  if (claims.login != 0) body["login"] = claims.login;
  write_session(claims, body);
  if (use == Use::request) {
    body["scopes"] = claims.scopes;
    body["access"] = access_of(claims.scopes);
  }
  const std::string text = base64url_encode(header.dump()) + "." + base64url_encode(body.dump());
  const auto signature = key.sign(text);
  if (!signature) return signature.error();
  std::string token = text + "." + base64url_encode(*signature);
  if (token.size() > max_token)
    return Error(Errc::parameter_invalid,
                 "the token would be longer than clients can send; ask for less at once");
  return token;
}

Result<VerifiedToken> Tokens::verify(std::string_view token) const {
  const std::size_t first = token.find('.'), last = token.rfind('.');
  if (first == std::string_view::npos || first == last)
    return token_not_accepted("it is none of this registry's");
  const Json header = object_of(token.substr(0, first));
  // The key is chosen among ours, by its name alone: neither a key nor an address in the token is looked at.
  if (!header.is_object() || text_of(header, "alg") != "ES256" || header.contains("crit"))
    return token_not_accepted("it is none of this registry's");
  VerifiedToken verified;
  verified.key = text_of(header, "kid");
  const auto key = keys_.find(verified.key);
  const auto signature = base64url_decode(token.substr(last + 1));
  if (!key || !signature || !key->verifies(token.substr(0, last), *signature))
    return token_not_accepted("it is none of this registry's, or its key is gone; log in again");
  const Json body = object_of(token.substr(first + 1, last - first - 1));
  if (!body.is_object() || text_of(body, "iss") != settings_.service)
    return token_not_accepted("it is for something else");
  verified.audience = text_of(body, "aud");
  TokenClaims& claims = verified.claims;
  claims.subject = text_of(body, "sub");
  const auto expiry = body.find("exp");
  if (claims.subject.empty() || expiry == body.end() || !expiry->is_number_integer())
    return token_not_accepted("it is not complete");
  claims.expires_at = expiry->get<std::int64_t>();
  if (!read_session(body, claims)) return token_not_accepted("it is not complete");
  claims.fingerprint = base64url_decode(text_of(body, "fingerprint")).value_or("");
  if (const auto login = body.find("login"); login != body.end()) {
    if (!login->is_number_integer() || login->get<std::int64_t>() <= 0)
      return token_not_accepted("it is not complete");
    claims.login = login->get<std::int64_t>();
  }
  if (const auto scopes = body.find("scopes"); scopes != body.end() && scopes->is_array()) {
    for (const Json& scope : *scopes) {
      if (scope.is_string()) claims.scopes.push_back(scope.get<std::string>());
    }
  }
  return verified;
}

Result<void> Tokens::holds(const TokenClaims& claims) const {
  const std::int64_t at = now();
  // Before the other end, which it may be as well: this one has a remedy of its own.
  if (claims.session_ends != 0 && claims.session_ends <= at) {
    return Error(Errc::unauthorized, "the CI session of " + claims.subject + " ended at " +
                                         to_string(Timestamp{claims.session_ends * 1'000'000}) +
                                         "; log in again with a new ID token (session in auth.oidc says how "
                                         "long one lasts)");
  }
  if (claims.expires_at + leeway <= at) return token_not_accepted("it has expired");
  return {};
}

Result<TokenClaims> Tokens::read(Use use, std::string_view token) const {
  if (token.size() > max_token) return token_not_accepted("it is none of this registry's");
  const std::string key = VerifiedTokens::key_of(token);
  VerifiedTokens::Known known = verified_.find(key);
  if (!known || !keys_.has(known->key)) {
    auto verified = verify(token);
    if (!verified) return verified.error();
    known = std::make_shared<const VerifiedToken>(std::move(*verified));
    if (holds(known->claims)) verified_.insert(key, token.size(), known);
  }
  const TokenClaims& claims = known->claims;
  if (known->audience != audience(use)) return token_not_accepted("it is for something else");
  if (auto still = holds(claims); !still) return still.error();
  if (use == Use::refresh && claims.login == 0) return token_not_accepted("it is not complete");
  if (use == Use::request && claims.scopes.empty()) return token_not_accepted("it is not complete");
  return claims;
}

}  // namespace stele::auth
