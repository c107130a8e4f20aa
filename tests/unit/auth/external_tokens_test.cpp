// Tokens of another token server, signed by keys made here.
#include "auth/external_tokens.hpp"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "auth/base64.hpp"
#include "auth/id_token.hpp"
#include "auth/scopes.hpp"
#include "auth/signing_key.hpp"
#include "auth/token_scope.hpp"
#include "base/random.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/auth/set_clock.hpp"

namespace stele::auth::external_tokens_test {
namespace {

using Json = nlohmann::json;

struct Fixture {
  Fixture() {
    std::ofstream(path) << "{\"keys\":[" << key.public_jwk() << "]}";
    REQUIRE(tokens.renew().has_value());
  }
  ~Fixture() { std::filesystem::remove(path); }

  std::string token(const Json& more, const SigningKey& signer, const std::string& algorithm = "ES256") {
    Json body{{"iss", "tokens.example"},
              {"sub", "alice"},
              {"aud", "registry.example"},
              {"exp", clock.now().microseconds / 1'000'000 + 300}};
    body.update(more);
    const std::string text =
        base64url_encode(Json{{"alg", algorithm}, {"typ", "JWT"}, {"kid", signer.id()}}.dump()) + "." +
        base64url_encode(body.dump());
    return text + "." + base64url_encode(signer.sign(text).value());
  }
  Result<Identity> identify(const Json& more = Json::object()) {
    return sync_wait(tokens.identify(token(more, key)));
  }

  const std::string path =
      (std::filesystem::temp_directory_path() / ("stele-keys-" + random_hex(8))).string();
  SetClock clock;
  const SigningKey key = SigningKey::make().value();
  ExternalTokens tokens{{"tokens.example", "registry.example", path}, clock, clock};
};

Json entry(const char* type, const std::string& name, const Json& actions) {
  return Json{{"type", type}, {"name", name}, {"actions", actions}};
}

TEST_CASE("external tokens: who somebody is, and what the token is limited to") {
  Fixture of;
  const auto identity = of.identify(
      {{"access", {entry("repository", "team/app", {"pull", "push"}), entry("registry", "catalog", {"*"})}}});
  REQUIRE(identity.has_value());
  CHECK(identity->principal.name() == "user:alice");
  CHECK(identity->method == Identity::Method::token);
  CHECK(identity->scopes == std::vector<std::string>{"repository:team/app:pull,push", "registry:catalog:*"});
  CHECK_FALSE(scopes_leave(identity->scopes, policy::Right::remove, "team/app"));
}

TEST_CASE("external tokens: what is not understood gives nothing, and no token is without a limit") {
  Fixture of;
  const Json nothing[] = {Json::array(),
                          nullptr,
                          Json::array({entry("registry", "*", {"*"})}),
                          Json::array({entry("repository", "Team/App", {"pull"})}),
                          Json::array({entry("repository", "a/b:pull repository:c/d", {"pull"})}),
                          Json::array({entry("repository", "a/b", {"pull repository:c/d:push"})}),
                          Json::array({entry("repository", "a/b", {"admin"})}),
                          Json::array({entry("repository(plugin)", "a/b", {"pull"})}),
                          Json::array({entry("repository", "a/b", "pull")}),
                          {"pull", 7}};
  for (const Json& access : nothing) {
    INFO(access.dump());
    const auto identity = of.identify({{"access", access}});
    REQUIRE(identity.has_value());
    CHECK(identity->scopes == std::vector<std::string>{"none"});
    CHECK_FALSE(scopes_leave_everything(identity->scopes));
  }
  CHECK(of.identify()->scopes == std::vector<std::string>{"none"});
  CHECK_FALSE(of.identify({{"access", "all"}}).has_value());
  Json many = Json::array();
  for (int i = 0; i < 257; ++i) many.push_back(entry("repository", "a/" + std::to_string(i), {"pull"}));
  CHECK_FALSE(of.identify({{"access", many}}).has_value());
}

TEST_CASE("external tokens: another issuer, audience, time, key or algorithm is refused") {
  Fixture of;
  const std::int64_t now = of.clock.now().microseconds / 1'000'000;
  CHECK(of.identify().has_value());
  for (const Json& wrong :
       {Json{{"iss", "other.example"}}, Json{{"aud", "other.example"}}, Json{{"exp", now - 61}},
        Json{{"nbf", now + 61}}, Json{{"exp", nullptr}}, Json{{"sub", ""}}, Json{{"sub", "a\nb"}}}) {
    INFO(wrong.dump());
    CHECK_FALSE(of.identify(wrong).has_value());
  }
  // Clocks may differ by a minute.
  CHECK(of.identify({{"exp", now - 59}}).has_value());
  CHECK(of.identify({{"nbf", now + 59}}).has_value());
  const SigningKey other = SigningKey::make().value();
  CHECK_FALSE(sync_wait(of.tokens.identify(of.token(Json::object(), other))).has_value());
  for (const char* algorithm : {"none", "HS256", "RS256"})
    CHECK_FALSE(sync_wait(of.tokens.identify(of.token(Json::object(), of.key, algorithm))).has_value());
  std::string changed = of.token(Json::object(), of.key);
  changed[changed.size() - 8] = changed[changed.size() - 8] == 'A' ? 'B' : 'A';
  CHECK_FALSE(sync_wait(of.tokens.identify(changed)).has_value());
}

TEST_CASE("external tokens: a rotated key holds when the file is read, and the one before does not") {
  Fixture of;
  const SigningKey next = SigningKey::make().value();
  const std::string token = of.token(Json::object(), next);
  CHECK_FALSE(sync_wait(of.tokens.identify(token)).has_value());
  std::ofstream(of.path) << "{\"keys\":[" << next.public_jwk() << "]}";
  REQUIRE(of.tokens.renew().has_value());
  CHECK(sync_wait(of.tokens.identify(token)).has_value());
  CHECK_FALSE(of.identify().has_value());
  // A bad file leaves the keys before in force.
  std::ofstream(of.path) << "{";
  CHECK_FALSE(of.tokens.renew().has_value());
  CHECK(sync_wait(of.tokens.identify(token)).has_value());
}

TEST_CASE("scopes: everything is a word of this registry's own, asked for and read back") {
  AskedScope asked;
  asked.add("repository:a/b:pull registry:*:*");
  CHECK(asked.everything);
  CHECK(to_scopes(asked) == std::vector<std::string>{"registry:*:*"});
  CHECK(scopes_leave_everything(to_scopes(asked)));
  for (const char* less : {"registry:catalog:*", "registry:*:pull", "repository:a/b:*", "none"})
    CHECK_FALSE(scopes_leave_everything(std::vector<std::string>{less}));
}

}  // namespace
}  // namespace stele::auth::external_tokens_test
