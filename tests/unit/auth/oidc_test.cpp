#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <thread>

#include "auth/base64.hpp"
#include "auth/id_token.hpp"
#include "auth/issuer_keys.hpp"
#include "auth/oidc_settings.hpp"
#include "auth/signing_key.hpp"
#include "auth/tokens.hpp"
#include "base/random.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/auth/set_clock.hpp"

namespace stele::auth {
namespace {

using Json = nlohmann::json;

Json claims_of(const Json& more = Json::object()) {
  Json body{
      {"iss", "https://ci.example"}, {"sub", "repo:a/b:ref:main"}, {"aud", "here"}, {"exp", 2'000'000'000}};
  body.update(more);
  return body;
}

std::string token_of(const Json& body, const std::string& algorithm = "ES256") {
  const Json header{{"alg", algorithm}, {"kid", "k"}};
  return base64url_encode(header.dump()) + "." + base64url_encode(body.dump()) + "." + base64url_encode("s");
}

std::string said(const IdToken& token, const std::string& name) {
  for (const Claim& claim : token.claims) {
    if (claim.name == name) return claim.value;
  }
  return "(nothing)";
}

// With its claims, which are read when it is verified.
Result<IdToken> whole(const std::string& token) {
  auto parsed = IdToken::parse(token);
  if (!parsed) return parsed;
  CHECK(parsed->claims.empty());
  if (auto read = parsed->read_claims(); !read) return read.error();
  return parsed;
}

// An issuer that answers what it is told to, and counts.
struct Asked {
  std::function<Task<Result<std::string>>()> ask() {
    return [this] { return say(); };
  }
  Task<Result<std::string>> say() {
    ++times;
    co_return answer;
  }
  int times = 0;
  Result<std::string> answer = Error(Errc::unavailable, "it is down");
};

std::string set_of(const SigningKey& key) {
  return "{\"keys\":[" + key.public_jwk() + "]}";
}

struct Read {
  explicit Read(const std::string& text) {
    config::YamlNode node;
    REQUIRE(config::parse_yaml(text, "stele.yaml", node, problems));
    good = read_oidc(node, "stele.yaml", issuers, problems);
  }
  std::vector<OidcSettings> issuers;
  ConfigProblems problems;
  bool good = false;
};

TEST_CASE("auth: an ID token's claims are texts, whole numbers and truth values, objects by their path") {
  const Json body =
      claims_of({{"repository_id", "4711"},
                 {"run", 7},
                 {"protected", true},
                 {"share", 0.5},
                 {"groups", {"a", "b"}},
                 {"none", nullptr},
                 {"kubernetes.io", {{"namespace", "build"}, {"serviceaccount", {{"uid", "u-1"}}}}}});
  const auto token = whole(token_of(body));
  REQUIRE(token.has_value());
  CHECK(said(*token, "repository_id") == "4711");
  CHECK(said(*token, "run") == "7");
  CHECK(said(*token, "protected") == "true");
  CHECK(said(*token, "sub") == "repo:a/b:ref:main");
  CHECK(said(*token, "kubernetes.io/namespace") == "build");
  CHECK(said(*token, "kubernetes.io/serviceaccount/uid") == "u-1");
  for (const char* absent : {"share", "groups", "none", "kubernetes.io", "iss", "aud", "exp"})
    CHECK(said(*token, absent) == "(nothing)");
}

TEST_CASE("auth: a claim that two paths lead to is nobody's") {
  // What rules cannot compare takes its name all the same.
  for (const Json& mine : {Json("mine"), Json::array({"x"}), Json(), Json(0.5)}) {
    const auto token = whole(token_of(claims_of({{"a/b", mine}, {"a", {{"b", "theirs"}}}})));
    REQUIRE(token.has_value());
    CHECK(said(*token, "a/b") == "(nothing)");
  }
}

TEST_CASE("auth: claims of an ID token are few and short, however they are nested (I10)") {
  Json many = Json::object();
  for (int i = 0; i < 700; ++i) many[std::to_string(i)] = 1;
  const auto too_many = whole(token_of(claims_of({{"a", many}})));
  REQUIRE_FALSE(too_many.has_value());
  CHECK(too_many.error().code() == Errc::unauthorized);
  Json few = Json::object();
  for (int i = 0; i < 100; ++i) few[std::to_string(i)] = 1;
  CHECK_FALSE(whole(token_of(claims_of({{std::string(5200, 'p'), few}}))).has_value());
  CHECK(whole(token_of(claims_of({{std::string(100, 'p'), few}}))).has_value());
}

TEST_CASE("auth: no other algorithm than RS256 and ES256 is looked at") {
  for (const char* algorithm : {"none", "HS256", "HS512", "RS384", "PS256", "ES384", "EdDSA", "rs256", ""})
    CHECK_FALSE(IdToken::parse(token_of(claims_of(), algorithm)).has_value());
  CHECK(IdToken::parse(token_of(claims_of(), "RS256")).has_value());
}

TEST_CASE("auth: times of an ID token may differ by the leeway and no more") {
  const auto token = IdToken::parse(token_of(claims_of({{"nbf", 1000}, {"iat", 1000.5}, {"exp", 2000}})));
  REQUIRE(token.has_value());
  CHECK(token->holds("here", 940, 60).has_value());
  CHECK_FALSE(token->holds("here", 939, 60).has_value());
  CHECK(token->holds("here", 2059, 60).has_value());
  CHECK_FALSE(token->holds("here", 2060, 60).has_value());
  CHECK_FALSE(token->holds("here", 2000, 0).has_value());
  CHECK_FALSE(token->holds("there", 1500, 60).has_value());
  for (const Json& bad : {Json("soon"), Json(-1), Json(1e300), Json(nullptr), Json::array()})
    CHECK_FALSE(IdToken::parse(token_of(claims_of({{"exp", bad}}))).has_value());
}

TEST_CASE("auth: a password that is no token is not taken for one") {
  CHECK(looks_like_token(token_of(claims_of())));
  for (const char* password :
       {"", "correct horse", "a.b.c", "..", "eyJ", "stele_0123", "1.2.3", "eyJhbGciOiJub25lIn0.e30"})
    CHECK_FALSE(looks_like_token(password));
}

TEST_CASE("auth: keys of an issuer that are too small, for something else or private are of no use") {
  const SigningKey key = SigningKey::make().value();
  const Json good = Json::parse(key.public_jwk());
  const auto parses = [](const Json& jwk) {
    return JsonWebKeys::parse(Json{{"keys", Json::array({jwk})}}.dump()).has_value();
  };
  CHECK(parses(good));
  for (const Json& change :
       {Json{{"use", "enc"}}, Json{{"alg", "ES384"}}, Json{{"crv", "P-384"}}, Json{{"x", "AA"}},
        Json{{"y", good["x"]}}, Json{{"kty", "oct"}}, Json{{"key_ops", {"encrypt"}}}}) {
    CAPTURE(change.dump());
    Json jwk = good;
    jwk.update(change);
    CHECK_FALSE(parses(jwk));
  }
  const std::string ones(256, '\xff'), small(128, '\xff');
  CHECK(parses({{"kty", "RSA"}, {"n", base64url_encode(ones)}, {"e", "AQAB"}}));
  CHECK_FALSE(parses({{"kty", "RSA"}, {"n", base64url_encode(small)}, {"e", "AQAB"}}));
  CHECK_FALSE(
      parses({{"kty", "RSA"}, {"n", base64url_encode(std::string(128, '\0') + small)}, {"e", "AQAB"}}));
  CHECK_FALSE(parses({{"kty", "RSA"}, {"n", base64url_encode(ones)}, {"e", "AQ"}}));  // 1
  CHECK_FALSE(parses({{"kty", "RSA"}, {"n", base64url_encode(ones)}, {"e", "Ag"}}));  // 2
  CHECK_FALSE(parses({{"kty", "RSA"}, {"n", base64url_encode(std::string(2048, '\xff'))}, {"e", "AQAB"}}));
}

TEST_CASE("auth: a signature is looked for under the key's name and its algorithm alone") {
  using Outcome = JsonWebKeys::Outcome;
  const SigningKey key = SigningKey::make().value(), other = SigningKey::make().value();
  const JsonWebKeys set =
      JsonWebKeys::parse("{\"keys\":[" + key.public_jwk() + "," + other.public_jwk() + "]}").value();
  const JsonWebKeys one = JsonWebKeys::parse(set_of(key)).value();
  const std::string signature = key.sign("text").value();
  CHECK(set.verify("ES256", key.id(), "text", signature) == Outcome::verified);
  CHECK(set.verify("ES256", key.id(), "other", signature) == Outcome::wrong);
  CHECK(set.verify("ES256", other.id(), "text", signature) == Outcome::wrong);
  CHECK(set.verify("RS256", key.id(), "text", signature) == Outcome::no_such_key);
  CHECK(set.verify("ES256", "", "text", signature) == Outcome::no_such_key);
  CHECK(one.verify("ES256", "", "text", signature) == Outcome::verified);
  for (const std::string& bad : {std::string(), std::string(64, '\0'), signature + "x", signature.substr(1)})
    CHECK(one.verify("ES256", "", "text", bad) == Outcome::wrong);
}

TEST_CASE("auth: no ID token is accepted in which a single bit is another one") {
  const SigningKey key = SigningKey::make().value();
  const JsonWebKeys keys = JsonWebKeys::parse(set_of(key)).value();
  const auto accepted = [&](const std::string& token) {
    const auto said = IdToken::parse(token);
    return said && said->holds("here", 1'900'000'000, 60) &&
           keys.verify(said->algorithm, said->key, said->signed_text, said->signature) ==
               JsonWebKeys::Outcome::verified;
  };
  const Json header{{"alg", "ES256"}, {"kid", key.id()}};
  std::string token = base64url_encode(header.dump()) + "." + base64url_encode(claims_of().dump());
  token += "." + base64url_encode(key.sign(token).value());
  REQUIRE(accepted(token));
  for (std::size_t at = 0; at < token.size(); ++at) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      std::string other = token;
      other[at] = static_cast<char>(static_cast<unsigned char>(other[at]) ^ (1U << bit));
      CAPTURE(other);
      REQUIRE_FALSE(accepted(other));
    }
    REQUIRE_FALSE(accepted(token.substr(0, at)));
    REQUIRE_FALSE(accepted(token.substr(0, at) + token.substr(at + 1)));
  }
  for (const char* more : {"=", "==", ".", "A", " ", "\n"}) REQUIRE_FALSE(accepted(token + more));
}

TEST_CASE("auth: an issuer's keys are kept for an hour, and for a day while it is down") {
  SetClock clock;
  Asked asked;
  IssuerKeys keys(asked.ask(), clock);
  CHECK_FALSE(sync_wait(keys.present()).has_value());
  CHECK_FALSE(sync_wait(keys.present()).has_value());
  CHECK(asked.times == 1);  // not for each request
  clock.pass(5);
  asked.answer = set_of(SigningKey::make().value());
  CHECK(sync_wait(keys.present()).has_value());
  clock.pass(3599);
  CHECK(sync_wait(keys.present()).has_value());
  CHECK(asked.times == 2);
  clock.pass(1);
  asked.answer = Error(Errc::unavailable, "it is down");
  CHECK(sync_wait(keys.present()).has_value());
  CHECK(asked.times == 3);
  CHECK(sync_wait(keys.present()).has_value());
  CHECK(asked.times == 3);
  clock.pass(86400 - 3601);
  CHECK(sync_wait(keys.present()).has_value());
  clock.pass(1);
  const auto gone = sync_wait(keys.present());
  REQUIRE_FALSE(gone.has_value());
  CHECK(gone.error().code() == Errc::unavailable);
  asked.answer = set_of(SigningKey::make().value());
  clock.pass(5);
  CHECK(sync_wait(keys.present()).has_value());
}

TEST_CASE("auth: no more wait for a slow issuer than may (I10), and its answer lets all of them go") {
  SetClock clock;
  Completion<void> asked, answers;
  Pending<void> is_asked = asked.pending();
  Pending<void> answer = answers.pending();
  const auto ask = [&]() -> Task<Result<std::string>> {
    asked.set();
    co_await answer;
    co_return set_of(SigningKey::make().value());
  };
  IssuerKeyTimes times;
  times.most_waiting = 0;
  IssuerKeys keys(ask, clock, times);
  bool first = false;
  std::thread asking([&] { first = sync_wait(keys.present()).has_value(); });
  const auto until_asked = [&]() -> Task<void> { co_await is_asked; };
  sync_wait(until_asked());
  const auto refused = sync_wait(keys.present());
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code() == Errc::unavailable);
  CHECK(refused.error().message().find("too many wait for the keys") != std::string::npos);
  answers.set();
  asking.join();
  CHECK(first);
  CHECK(sync_wait(keys.present()).has_value());
}

TEST_CASE("auth: for a key that is not there an issuer is asked once in ten seconds") {
  SetClock clock;
  Asked asked;
  asked.answer = set_of(SigningKey::make().value());
  IssuerKeys keys(asked.ask(), clock);
  const JsonWebKeys first = sync_wait(keys.present()).value();
  const JsonWebKeys second = sync_wait(keys.other_than(first)).value();
  CHECK_FALSE(second.is_same(first));
  CHECK(asked.times == 2);
  CHECK(sync_wait(keys.other_than(second)).value().is_same(second));
  CHECK(asked.times == 2);
  // Whoever saw older ones gets those that are here.
  CHECK(sync_wait(keys.other_than(first)).value().is_same(second));
  CHECK(asked.times == 2);
  clock.pass(9);
  CHECK(sync_wait(keys.other_than(second)).value().is_same(second));
  CHECK(asked.times == 2);
  clock.pass(1);
  asked.answer = Error(Errc::unavailable, "it is down");
  CHECK(sync_wait(keys.other_than(second)).value().is_same(second));
  CHECK(asked.times == 3);
}

TEST_CASE("auth: an issuer of the configuration says what it lacks") {
  const auto problem = [](const std::string& text) {
    const Read read(text);
    CHECK_FALSE(read.good);
    return read.problems.empty() ? std::string() : read.problems.front().message;
  };
  using Catch::Contains;
  CHECK_THAT(problem("[{audience: a, claims: {}}]"), Contains("lacks issuer"));
  CHECK_THAT(problem("[{issuer: github, claims: {a: b}}]"), Contains("lacks audience"));
  CHECK_THAT(problem("[{issuer: github, audience: a}]"), Contains("lacks claims"));
  CHECK_THAT(problem("[{issuer: github, audience: a, claims: {}}]"), Contains("gives tokens to everybody"));
  CHECK_THAT(problem("[{issuer: http://ci.example, audience: a, claims: {}}]"), Contains("by https"));
  CHECK_THAT(problem("[{issuer: ci, audience: a, claims: {}}]"),
             Contains("must be github, gitlab or its URL"));
  CHECK_THAT(problem("[{issuer: https://ci.example, audience: a, claims: {}, session: 7h}]"),
             Contains("1m to 6h"));
  CHECK_THAT(problem("[{issuer: https://ci.example, audience: a, claims: {}, leeway: 1h}]"),
             Contains("0 to 5m"));
  CHECK_THAT(problem("[{issuer: https://ci.example, audience: a, claims: {}, name: 'a:b'}]"),
             Contains("made of a to z"));
  CHECK_THAT(problem("[{issuer: https://ci.example, audienc: a, claims: {}}]"), Contains("did you mean"));
  CHECK_THAT(problem("[{issuer: https://ci.example, audience: a, claims: {}}, {issuer: https://ci.example, "
                     "audience: b, claims: {}, name: x}]"),
             Contains("two entries"));
}

TEST_CASE("auth: the issuers of the configuration are written as they are read") {
  const std::string text =
      "[{issuer: github, audience: here, claims: {repository_owner_id: 4711}, session: 6h}, "
      "{issuer: http://127.0.0.1:8080, name: test, audience: here, claims: {}, leeway: 0, jwks_file: "
      "keys.json}]";
  const Read read(text);
  REQUIRE(read.good);
  CHECK(read.issuers.front().issuer == "https://token.actions.githubusercontent.com");
  CHECK(read.issuers.front().name == "github");
  const Read again(print_oidc(read.issuers));
  REQUIRE(again.good);
  CHECK(again.issuers == read.issuers);
  CHECK(print_oidc(again.issuers) == print_oidc(read.issuers));
}

TEST_CASE("auth: a session's tokens carry what the ID token said, and end with it") {
  SetClock clock;
  const std::string path =
      (std::filesystem::temp_directory_path() / ("stele-oidc-" + random_hex(8))).string();
  TokenKeys keys(path, clock);
  REQUIRE(keys.open().has_value());
  const Tokens tokens({}, keys, clock);
  TokenClaims claims;
  claims.subject = "oidc:ci:repo:a/b";
  claims.issuer = "https://ci.example";
  claims.claims = {{"repository_id", "4711"}, {"ref", "main"}};
  claims.login = 7;
  claims.session_ends = tokens.now() + 3600;
  claims.scopes = {"none"};
  const std::string refresh = tokens.make(Tokens::Use::refresh, claims).value();
  clock.pass(3590);
  const std::string request = tokens.make(Tokens::Use::request, claims).value();
  const auto said = tokens.read(Tokens::Use::request, request);
  REQUIRE(said.has_value());
  CHECK(said->issuer == "https://ci.example");
  REQUIRE(said->claims.size() == 2);
  CHECK(said->claims.front().name == "ref");
  CHECK(said->claims.front().value == "main");
  CHECK(tokens.read(Tokens::Use::refresh, refresh).has_value());
  clock.pass(10);
  for (const auto& [use, token] :
       {std::pair(Tokens::Use::refresh, refresh), std::pair(Tokens::Use::request, request)}) {
    const auto ended = tokens.read(use, token);
    REQUIRE_FALSE(ended.has_value());
    CHECK_THAT(ended.error().message(), Catch::Contains("the CI session of oidc:ci:repo:a/b ended at "));
  }
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace stele::auth
