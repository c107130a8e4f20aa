#include "auth/tokens.hpp"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "auth/base64.hpp"
#include "auth/token_scope.hpp"
#include "base/random.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/auth/set_clock.hpp"

namespace stele::auth::tokens_test {
namespace {

using Json = nlohmann::json;

struct Fixture {
  Fixture() {
    std::filesystem::create_directory(directory);
    REQUIRE(keys.open().has_value());
  }
  ~Fixture() { std::filesystem::remove_all(directory); }
  std::string make(Tokens::Use use = Tokens::Use::request) const {
    TokenClaims claims;
    claims.subject = "user:alice";
    claims.fingerprint = "0123456789abcdef";
    if (use == Tokens::Use::refresh) claims.login = 7;
    claims.scopes = {"repository:app:pull"};
    return tokens.make(use, claims).value();
  }
  bool accepts(const std::string& token) const {
    return tokens.read(Tokens::Use::request, token).has_value();
  }

  const std::string directory =
      (std::filesystem::temp_directory_path() / ("stele-keys-" + random_hex(8))).string();
  const std::string path = directory + "/token-keys.json";
  SetClock clock;
  TokenKeys keys{path, clock};
  Tokens tokens{{}, keys, clock};
};

// The token with another header and body, and its own signature.
std::string changed(const std::string& token, const Json& header, const Json& body) {
  return base64url_encode(header.dump()) + "." + base64url_encode(body.dump()) +
         token.substr(token.rfind('.'));
}

Json part_of(const std::string& token, int number) {
  std::string rest = token;
  for (int i = 0; i < number; ++i) rest = rest.substr(rest.find('.') + 1);
  return Json::parse(base64url_decode(rest.substr(0, rest.find('.'))).value());
}

TEST_CASE("auth: a token says who, for what and until when, and neither nbf nor a key") {
  const Fixture of;
  const std::string token = of.make();
  const auto claims = of.tokens.read(Tokens::Use::request, token);
  REQUIRE(claims.has_value());
  CHECK(claims->subject == "user:alice");
  CHECK(claims->fingerprint == "0123456789abcdef");
  CHECK(claims->scopes == std::vector<std::string>{"repository:app:pull"});
  const Json header = part_of(token, 0), body = part_of(token, 1);
  CHECK(header["alg"] == "ES256");
  CHECK(header.size() == 3);
  CHECK_FALSE(body.contains("nbf"));
  CHECK(body["exp"].get<std::int64_t>() - body["iat"].get<std::int64_t>() == 300);
  CHECK(body["access"] == Json::parse(R"([{"type":"repository","name":"app","actions":["pull"]}])"));
}

TEST_CASE("auth: no token but ours is accepted, whatever it says of itself") {
  const Fixture of, other;
  const std::string token = of.make();
  CHECK(of.accepts(token));
  CHECK_FALSE(other.accepts(token));  // another registry's key
  CHECK_FALSE(of.accepts(of.make(Tokens::Use::refresh)));
  CHECK_FALSE(of.tokens.read(Tokens::Use::refresh, token).has_value());
  CHECK(of.tokens.read(Tokens::Use::refresh, of.make(Tokens::Use::refresh)).has_value());

  const Json header = part_of(token, 0), body = part_of(token, 1);
  const auto with = [&](const char* name, const Json& value, bool in_header) {
    Json head = header, claims = body;
    (in_header ? head : claims)[name] = value;
    return changed(token, head, claims);
  };
  CHECK(of.accepts(changed(token, header, body)) == (changed(token, header, body) == token));
  for (const char* algorithm : {"none", "None", "HS256", "RS256", "ES384", ""})
    CHECK_FALSE(of.accepts(with("alg", algorithm, true)));
  for (const char* name : {"jwk", "jku", "x5u", "crit"}) CHECK_FALSE(of.accepts(with(name, "x", true)));
  for (const char* name : {"sub", "aud", "iss", "exp", "scopes", "fingerprint"})
    CHECK_FALSE(of.accepts(with(name, "x", false)));
  const std::string unsigned_text = token.substr(0, token.rfind('.'));
  for (const std::string& text : std::initializer_list<std::string>{
           "", ".", "..", "a.b.c", unsigned_text, unsigned_text + ".",
           unsigned_text + "." + std::string(86, 'A'), token + "A", token + ".", "." + token, token.substr(1),
           std::string(100'000, 'a'), token + "=",
           unsigned_text + "." + base64url_encode(std::string(64, '\xff'))})
    CHECK_FALSE(of.accepts(text));
}

TEST_CASE("auth: every bit of a token counts") {
  const Fixture of;
  const std::string token = of.make();
  for (std::size_t i = 0; i < token.size(); ++i) {
    std::string other = token;
    other[i] = other[i] == 'A' ? 'B' : 'A';
    INFO(i);
    CHECK_FALSE(of.accepts(other));
  }
}

TEST_CASE("auth: a token for another service, and one whose key signed something else, are refused") {
  Fixture of;
  const Tokens elsewhere({.service = "registry.example.com"}, of.keys, of.clock);
  CHECK_FALSE(elsewhere.read(Tokens::Use::request, of.make()).has_value());
  // Signed with our key, and made for nobody, for ever, or without limits.
  const SigningKey key = of.keys.signing();
  const auto sign = [&](const char* body) {
    const std::string header = Json{{"alg", "ES256"}, {"kid", key.id()}}.dump();
    const std::string text = base64url_encode(header) + "." + base64url_encode(body);
    return text + "." + base64url_encode(key.sign(text).value());
  };
  CHECK(
      of.accepts(sign(R"({"iss":"stele","aud":"stele","sub":"user:a","exp":1800000100,"scopes":["none"]})")));
  for (const char* body :
       {R"({"iss":"stele","aud":"stele","sub":"user:a","scopes":["none"]})",
        R"({"iss":"stele","aud":"stele","sub":"user:a","exp":"never","scopes":["none"]})",
        R"({"iss":"stele","aud":"stele","exp":1800000100,"scopes":["none"]})",
        R"({"iss":"stele","aud":"stele","sub":"user:a","exp":1800000100,"scopes":[]})",
        R"({"iss":"stele","aud":"stele","sub":"user:a","exp":1800000100})",
        R"({"iss":"stele","sub":"user:a","exp":1800000100,"scopes":["none"]})",
        R"({"iss":"stele","aud":"stele","aud":"x","sub":"user:a","exp":1800000100,"scopes":["none"]})", "[]",
        "1", "{"})
    CHECK_FALSE(of.accepts(sign(body)));
}

TEST_CASE("auth: a token ends, with a minute for clocks") {
  Fixture of;
  const std::string token = of.make();
  of.clock.pass(300 + 59);
  CHECK(of.accepts(token));
  of.clock.pass(1);
  const auto refused = of.tokens.read(Tokens::Use::request, token);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().message() == "the token is not accepted: it has expired");
  // A clock that was set back meanwhile is no reason to refuse.
  const std::string later = of.make();
  of.clock.pass(-3600);
  CHECK(of.accepts(later));
}

TEST_CASE("auth: a token is verified once, and what may change of it is asked each time") {
  Fixture of;
  const std::string token = of.make();
  CHECK(of.accepts(token));
  CHECK(of.tokens.remembered() == 1);
  CHECK(of.accepts(token));
  CHECK(of.tokens.remembered() == 1);
  // Remembered for one use, it is none for the other, nor under another service's name.
  CHECK_FALSE(of.tokens.read(Tokens::Use::refresh, token).has_value());
  CHECK_FALSE(of.accepts(token + "A"));
  CHECK(of.tokens.remembered() == 1);
  of.clock.pass(360);
  CHECK_FALSE(of.accepts(token));
  // What never held is not remembered.
  const Fixture other;
  CHECK_FALSE(of.accepts(other.make()));
  CHECK_FALSE(of.accepts("a.b.c"));
  CHECK(of.tokens.remembered() == 1);
  TokenClaims job;
  job.subject = "oidc:https://ci.example:repo";
  job.issuer = "https://ci.example";
  job.login = 3;
  job.session_ends = of.tokens.now() + 100;
  job.scopes = {"repository:app:pull"};
  const std::string session = of.tokens.make(Tokens::Use::request, job).value();
  CHECK(of.accepts(session));
  of.clock.pass(100);
  CHECK_FALSE(of.accepts(session));
}

TEST_CASE("auth: a token that is remembered ends with its key") {
  Fixture of;
  const std::string token = of.make(Tokens::Use::refresh);
  const auto accepted = [&] { return of.tokens.read(Tokens::Use::refresh, token).has_value(); };
  CHECK(accepted());
  // A file that was put in its place, with other keys, before a start of this server.
  const Fixture other;
  std::filesystem::copy_file(other.path, of.path, std::filesystem::copy_options::overwrite_existing);
  REQUIRE(of.keys.open().has_value());
  CHECK_FALSE(accepted());
}

TEST_CASE("auth: remembered tokens are bounded in bytes, and the oldest go first (I10)") {
  const auto said = std::make_shared<const VerifiedToken>();
  VerifiedTokens tokens(16 * 1000);  // 1,000 in each of 16 parts
  std::vector<std::string> keys;
  for (int i = 0; i < 1000; ++i) {
    keys.push_back(VerifiedTokens::key_of(std::to_string(i)));
    tokens.insert(keys.back(), 250, said);
    CHECK(tokens.find(keys.back()) == said);
    CHECK(tokens.size() <= 64);
  }
  CHECK(tokens.size() == 64);
  CHECK_FALSE(tokens.find(keys.front()));
  // What is there is not counted again, and what is too large for its part leaves the others alone.
  tokens.insert(keys.back(), 250, said);
  CHECK(tokens.size() == 64);
  tokens.insert(VerifiedTokens::key_of("large"), 1001, said);
  CHECK(tokens.size() == 64);
  CHECK_FALSE(tokens.find(VerifiedTokens::key_of("large")));
}

TEST_CASE("auth: the keys of tokens are for their owner alone, and outlive the server") {
  Fixture of;
  struct stat info{};
  REQUIRE(::stat(of.path.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  CHECK(info.st_size > 0);
  const std::string token = of.make();
  TokenKeys again(of.path, of.clock);
  REQUIRE(again.open().has_value());
  CHECK(Tokens({}, again, of.clock).read(Tokens::Use::request, token).has_value());
  const Json set = Json::parse(again.public_set());
  REQUIRE(set["keys"].size() == 1);
  CHECK(set["keys"][0]["kid"] == again.signing().id());
  CHECK_FALSE(set["keys"][0].contains("d"));
  // Damaged, it is not replaced in silence: that would log everybody out without a word.
  for (const char* text : {"", "{}", "{\"keys\":[]}", "{\"keys\":[{\"created\":1,\"private\":\"x\"}]}"}) {
    std::ofstream(of.path) << text;
    TokenKeys damaged(of.path, of.clock);
    const auto opened = damaged.open();
    REQUIRE_FALSE(opened.has_value());
    CHECK(opened.error().message().find(of.path) != std::string::npos);
  }
}

TEST_CASE("auth: the next key is known before it signs, and the one before holds as long as its tokens") {
  Fixture of;
  const std::string first = of.keys.signing().id();
  const std::string refresh = of.make(Tokens::Use::refresh);
  CHECK_FALSE(of.keys.renew().value());
  of.clock.pass(30LL * 86400);
  CHECK(of.keys.renew().value());
  CHECK_FALSE(of.keys.renew().value());
  CHECK(Json::parse(of.keys.public_set())["keys"].size() == 2);
  CHECK(of.keys.signing().id() == first);
  of.clock.pass(86400 - 1);
  const std::string last = of.make(Tokens::Use::refresh);  // the last that the first key makes
  of.clock.pass(1);
  CHECK(of.keys.signing().id() != first);
  for (int day = 0; day < 89; ++day) {
    of.clock.pass(86400);
    (void)of.keys.renew().value();
    CHECK(of.tokens.read(Tokens::Use::refresh, last).has_value());
  }
  of.clock.pass(7LL * 86400);
  CHECK(of.keys.renew().has_value());
  CHECK_FALSE(of.keys.find(first).has_value());
  CHECK_FALSE(of.tokens.read(Tokens::Use::refresh, refresh).has_value());
  CHECK(Json::parse(of.keys.public_set())["keys"].size() < 7);  // bounded (I10)
}

TEST_CASE("auth: scopes are united, and what is not understood grants nothing (A2)") {
  const auto scopes = [](std::initializer_list<const char*> values) {
    AskedScope asked;
    for (const char* const value : values) asked.add(value);
    return to_scopes(asked);
  };
  using List = std::vector<std::string>;
  CHECK(scopes({"repository:x:push,pull", "repository:x:pull"}) == List{"repository:x:delete,pull,push"});
  CHECK(scopes({"repository:x:pull repository:x:push"}) == List{"repository:x:delete,pull,push"});
  CHECK(scopes({"repository:a/b:pull", "registry:catalog:*"}) ==
        List{"repository:a/b:pull", "registry:catalog:*"});
  CHECK(scopes({"repository:x:*"}) == List{"repository:x:*"});
  CHECK(scopes({"repository:x:pull,fly,,delete"}) == List{"repository:x:delete,pull"});
  for (const char* value :
       {"", " ", ":", "::", "repository", "repository:x", "repository:x:", "repository::pull",
        "repository(plugin):x:pull", "Repository:x:pull", "repository:X:pull", "repository:x:Pull",
        "repository:a:b:pull", "repository:../x:pull", "registry:catalog:pull", "plugin:x:pull"})
    CHECK(scopes({value}) == List{"none"});
  AskedScope many;
  for (int i = 0; i < 10'000; ++i) many.add("repository:r" + std::to_string(i) + ":pull");
  CHECK(many.repositories.size() == AskedScope::max_repositories);
}

}  // namespace
}  // namespace stele::auth::tokens_test
