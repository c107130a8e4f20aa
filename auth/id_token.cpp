#include "auth/id_token.hpp"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "auth/base64.hpp"
#include "auth/token_scope.hpp"
#include "auth/wrong_login.hpp"
#include "base/clock.hpp"
#include "base/printable.hpp"
#include "base/strict_json.hpp"

namespace stele::auth {
namespace {

using Json = nlohmann::json;

constexpr std::size_t max_subject = 255;               // OpenID Connect Core 1.0, section 2
constexpr int max_depth = 3;                           // of objects among the claims
constexpr std::int64_t last_second = 253'402'300'799;  // of the year 9999

Result<Json> object_of(std::string_view part, const char* what) {
  const auto text = base64url_decode(part);
  if (!text) return token_not_accepted(std::string(what) + " is not in base 64");
  auto parsed = parse_strict_json(*text, what);
  if (!parsed) return token_not_accepted(parsed.error().message());
  if (!parsed->is_object()) return token_not_accepted(std::string(what) + " is no JSON object");
  return std::move(*parsed);
}

std::string claim_text(const Json& object, const char* name) {
  const auto member = object.find(name);
  return member != object.end() && member->is_string() ? member->get<std::string>() : std::string();
}

// A time (RFC 7519, section 2); some issuers write fractions of seconds.
std::optional<std::int64_t> seconds_of(const Json& value) {
  if (!value.is_number()) return std::nullopt;
  const double seconds = value.get<double>();
  if (!(seconds >= 0 && seconds <= static_cast<double>(last_second))) return std::nullopt;
  return static_cast<std::int64_t>(seconds);
}

std::string shown(std::int64_t seconds) {
  return to_string(Timestamp{seconds * 1'000'000});
}

Result<void> read_header(const Json& header, IdToken& into) {
  into.algorithm = claim_text(header, "alg");
  // With none there would be no signature, and with HS256 the public key would be the secret.
  if (into.algorithm != "RS256" && into.algorithm != "ES256")
    return token_not_accepted("its algorithm is " + in_quotes(into.algorithm, 20) +
                              "; RS256 and ES256 are accepted");
  if (header.contains("crit"))
    return token_not_accepted("it asks for an extension that is not known here (crit)");
  for (const char* name : {"jwk", "jku", "x5c", "x5u"}) {
    if (header.contains(name))
      return token_not_accepted(std::string("it brings a key or its address along (") + name +
                                "); keys are the issuer's to name");
  }
  const std::string type = claim_text(header, "typ");
  if (header.contains("typ") && type != "JWT" && type != "jwt")
    return token_not_accepted("it is another kind of token (typ " + in_quotes(type, 40) + ")");
  if (header.contains("kid") && !header["kid"].is_string()) return token_not_accepted("its kid is no text");
  into.key = claim_text(header, "kid");
  return {};
}

Result<void> read_times(const Json& body, IdToken& into) {
  const auto time_of = [&](const char* name) -> Result<std::optional<std::int64_t>> {
    const auto member = body.find(name);
    if (member == body.end()) return std::optional<std::int64_t>();
    const auto seconds = seconds_of(*member);
    if (!seconds) return token_not_accepted(std::string("its ") + name + " is no time");
    return seconds;
  };
  const auto expires_at = time_of("exp"), issued_at = time_of("iat"), not_before = time_of("nbf");
  if (!expires_at) return expires_at.error();
  if (!issued_at) return issued_at.error();
  if (!not_before) return not_before.error();
  if (!expires_at->has_value()) return token_not_accepted("it never expires (it has no exp)");
  into.expires_at = **expires_at;
  into.issued_at = *issued_at;
  into.not_before = *not_before;
  return {};
}

Result<void> read_audience(const Json& body, IdToken& into) {
  const auto member = body.find("aud");
  if (member == body.end()) return token_not_accepted("it is for no audience (it has no aud)");
  if (member->is_string()) {
    into.audience.push_back(member->get<std::string>());
    return {};
  }
  const bool texts = member->is_array() && std::all_of(member->begin(), member->end(),
                                                       [](const Json& one) { return one.is_string(); });
  if (!texts) return token_not_accepted("its aud is neither a text nor a list of texts");
  for (const Json& one : *member) into.audience.push_back(one.get<std::string>());
  return {};
}

// Claims by their names. Two ways to one name make it nobody's: what is counted more than once is dropped.
struct Found {
  std::map<std::string, std::vector<std::string>> values;
  std::size_t count = 0;
  std::size_t bytes = 0;
};

// False: they are too many, or too long.
bool add_claims(const Json& object, const std::string& prefix, int depth, Found& into) {
  constexpr std::size_t most = 256, most_bytes = 32 * 1024;
  for (const auto& [name, value] : object.items()) {
    into.bytes += prefix.size() + name.size();
    if (++into.count > most || into.bytes > most_bytes) return false;
    const std::string path = prefix + name;
    if (value.is_object() && depth < max_depth) {
      if (!add_claims(value, path + "/", depth + 1, into)) return false;
      continue;
    }
    // What rules cannot compare takes its name all the same.
    const bool comparable = value.is_string() || value.is_boolean() || value.is_number_integer();
    std::string text;
    if (comparable) text = value.is_string() ? value.get<std::string>() : value.dump();
    into.bytes += text.size();
    auto& values = into.values[path];
    values.push_back(std::move(text));
    if (!comparable) values.emplace_back();
  }
  return into.bytes <= most_bytes;
}

Result<std::vector<Claim>> claims_of(const Json& body) {
  constexpr std::string_view not_for_rules[] = {"iss", "aud", "exp", "iat", "nbf", "jti"};
  Found found;
  if (!add_claims(body, "", 1, found))
    return token_not_accepted("it says more than is read: 256 claims, and 32 KiB with their names");
  std::vector<Claim> claims;
  for (auto& [name, values] : found.values) {
    const bool known =
        std::find(std::begin(not_for_rules), std::end(not_for_rules), name) != std::end(not_for_rules);
    if (values.size() != 1 || known) continue;
    Claim claim;
    claim.name = name;
    claim.value = std::move(values.front());
    claims.push_back(std::move(claim));
  }
  return claims;
}

struct Parts {
  std::string_view header, body, signature, signed_text;
};

std::optional<Parts> split(std::string_view token) {
  const std::size_t first = token.find('.'), last = token.rfind('.');
  if (first == std::string_view::npos || first == last || token.find('.', first + 1) != last)
    return std::nullopt;
  return Parts{token.substr(0, first), token.substr(first + 1, last - first - 1), token.substr(last + 1),
               token.substr(0, last)};
}

}  // namespace

Result<IdToken> IdToken::parse(std::string_view token) {
  if (token.size() > max_bytes) return token_not_accepted("it is longer than 16 KiB");
  const auto parts = split(token);
  if (!parts) return token_not_accepted("it has not three parts");
  const auto header = object_of(parts->header, "its header");
  if (!header) return header.error();
  IdToken read;
  if (auto good = read_header(*header, read); !good) return good.error();
  const auto body = object_of(parts->body, "its body");
  if (!body) return body.error();
  auto signature = base64url_decode(parts->signature);
  if (!signature) return token_not_accepted("its signature is not in base 64");
  read.signature = std::move(*signature);
  read.signed_text = std::string(parts->signed_text);
  read.issuer = claim_text(*body, "iss");
  read.subject = claim_text(*body, "sub");
  if (read.issuer.empty()) return token_not_accepted("it names no issuer (iss)");
  if (read.subject.empty() || read.subject.size() > max_subject || !is_printable_line(read.subject))
    return token_not_accepted("its sub is not one line of 1 to 255 bytes");
  if (auto good = read_audience(*body, read); !good) return good.error();
  if (auto good = read_times(*body, read); !good) return good.error();
  return read;
}

Result<void> IdToken::read_claims() {
  const auto body = object_of(std::string_view(signed_text).substr(signed_text.find('.') + 1), "its body");
  if (!body) return body.error();
  auto read = claims_of(*body);
  if (!read) return read.error();
  claims = std::move(*read);
  return {};
}

Result<std::vector<std::string>> IdToken::read_access() const {
  constexpr std::size_t most = AskedScope::max_repositories;
  const auto body = object_of(std::string_view(signed_text).substr(signed_text.find('.') + 1), "its body");
  if (!body) return body.error();
  AskedScope left;
  const auto access = body->find("access");
  if (access == body->end() || access->is_null()) return to_scopes(left);
  if (!access->is_array() || access->size() > most)
    return token_not_accepted("its access is no list of at most " + std::to_string(most) + " entries");
  for (const Json& entry : *access) {
    const auto actions = entry.is_object() ? entry.find("actions") : entry.end();
    if (!entry.is_object() || actions == entry.end() || !actions->is_array()) continue;
    for (const Json& action : *actions) {
      if (!action.is_string()) continue;
      const std::string& word = action.get_ref<const std::string&>();
      const std::string scope = claim_text(entry, "type") + ":" + claim_text(entry, "name") + ":" + word;
      // A space or a comma would make two of one; and here pushing does not bring deleting along.
      if (scope.find_first_of(" ,") == std::string::npos) left.add_exactly(scope);
    }
  }
  left.everything = false;  // a word of this registry's own tokens
  return to_scopes(left);
}

Result<void> IdToken::holds(std::string_view for_audience, std::int64_t now, std::int64_t leeway) const {
  if (std::find(audience.begin(), audience.end(), for_audience) == audience.end()) {
    return token_not_accepted(
        "it is for the audience " + in_quotes(audience.empty() ? "" : audience.front()) +
        (audience.size() > 1 ? " and others" : "") + ", and not for " + in_quotes(for_audience));
  }
  if (expires_at + leeway <= now)
    return token_not_accepted(
        "it expired at " + shown(expires_at) + "; the clock here says " + shown(now) +
        "; get a new one, or log in for a session while one holds (docker login, token exchange)");
  if (not_before && *not_before - leeway > now)
    return token_not_accepted("it is good from " + shown(*not_before) + " on; the clock here says " +
                              shown(now));
  if (issued_at && *issued_at - leeway > now) {
    return token_not_accepted("it was issued at " + shown(*issued_at) +
                              ", in the future; the clock here says " + shown(now));
  }
  return {};
}

bool looks_like_token(std::string_view secret) {
  const auto parts = split(secret);
  if (!parts || parts->header.size() > IdToken::max_bytes) return false;
  const auto header = base64url_decode(parts->header);
  return header && header->starts_with('{');
}

std::string issuer_in(std::string_view token) {
  const auto parts = split(token);
  if (!parts || token.size() > 2 * IdToken::max_bytes) return {};
  const auto body = object_of(parts->body, "a token");
  return body ? claim_text(*body, "iss") : std::string();
}

}  // namespace stele::auth
