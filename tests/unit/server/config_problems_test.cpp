// What is refused, and in which words and where.

#include "base/printable.hpp"
#include "config/yaml_document.hpp"
#include "server/config/load.hpp"
#include "tests/support/catch.hpp"

using namespace stele;

namespace {

std::string problems(std::string_view yaml) {
  const auto loaded = parse_config_text(yaml, "f");
  return loaded.has_value() ? "" : loaded.error().to_string();
}

std::string problems(std::vector<EnvironmentVariable> environment, ConfigFlags flags = {}) {
  const auto loaded = load_config({std::move(flags), std::move(environment)});
  return loaded.has_value() ? "" : loaded.error().to_string();
}

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

std::string repeated(std::string_view part, std::size_t bytes) {
  std::string text;
  while (text.size() + part.size() <= bytes) text += part;
  return text;
}

}  // namespace

TEST_CASE("a section within a section has its own keys, and is named whole") {
  CHECK(problems("auth: {htpasswd: {file: users}}").empty());
  CHECK(problems("auth: {ldap: {url: 'ldaps://one ldap://two', user_base: dc=example}}").empty());
  CHECK(has(problems("auth: {ldap: {url: 'https://one', user_base: dc=example}}"),
            "auth.ldap.url must be ldaps://HOST or ldap://HOST"));
  CHECK(has(problems("auth: {ldap: {url: 'ldaps://one'}}"), "without auth.ldap.user_base"));
  CHECK(has(problems("auth: {ldap: {url: 'ldaps://one', user_base: dc=example, user_filter: (uid=alice)}}"),
            "auth.ldap.user_filter lacks {user}"));
  CHECK(has(problems("auth: {ldap: {url: 'ldaps://one', user_base: dc=example, bind_dn: cn=stele}}"),
            "auth.ldap.bind_dn and auth.ldap.bind_password_file come together"));
  CHECK(has(problems("auth: {htpasswd: users}"), "auth.htpasswd must be a mapping of keys to values"));
  CHECK(has(problems("auth: {htpasswd: {fil: users}}"),
            "unknown key \"fil\" in auth.htpasswd; did you mean \"file\"?"));
  CHECK(has(problems("auth: {htpaswd: {file: users}}"),
            "unknown key \"htpaswd\" in auth; did you mean \"htpasswd\"?"));
  CHECK(has(problems("auth: {htpasswd.file: users}"), "unknown key \"htpasswd.file\" in auth"));
  CHECK(has(problems("auth.htpasswd: {file: users}"), "unknown key \"auth.htpasswd\""));
}

TEST_CASE("unknown keys are named, with what was meant") {
  const std::pair<const char*, const char*> cases[] = {
      {"lisen: x", "f:1:1: unknown key \"lisen\"; did you mean \"listen\"?\n"},
      {"limits:\n  manifest_byte: 4MiB",
       "f:2:3: unknown key \"manifest_byte\" in limits; did you mean \"manifest_bytes\"?\n"},
      {"limits:\n  lisen: x",
       "f:2:3: unknown key \"lisen\" in limits; did you mean \"listen\" at the top level?\n"},
      {"manifest_bytes: 4MiB",
       "f:1:1: unknown key \"manifest_bytes\"; did you mean \"manifest_bytes\" in limits?\n"},
      {"tls.cert: a", "f:1:1: unknown key \"tls.cert\"; did you mean \"cert\" in tls?\n"},
      {"limit:\n  connections: 1", "f:1:1: unknown key \"limit\"; did you mean \"limits\"?\n"},
      {"frobnicate: 1", "f:1:1: unknown key \"frobnicate\"\n"},
      {"\"a\\nb\\\"\": 1", "f:1:1: unknown key \"a?b?\"\n"},
      {"references: [{repositories: [a], mdoe: strict, mode: strict}]",
       "f:1:34: unknown key \"mdoe\" in an entry of references; did you mean \"mode\"?\n"},
  };
  for (const auto& [yaml, wanted] : cases) {
    CAPTURE(yaml);
    CHECK(problems(yaml) == wanted);
  }
}

TEST_CASE("values that do not fit are refused where they stand") {
  const std::pair<const char*, const char*> cases[] = {
      {"listen: [a]", "f:1:9: listen must be a single value, not a list\n"},
      {"listen:", "f:1:1: listen has no value; give one or remove the key\n"},
      {"data: {a: b}", "f:1:7: data must be a single value, not a mapping\n"},
      {"data: \"\"", "f:1:7: data is empty; name the directory to keep everything in\n"},
      {"data: \"a\\0b\"", "f:1:7: data contains a control character or bytes that are not UTF-8\n"},
      {"delete: maybe", "f:1:9: delete must be on, off, true or false, not \"maybe\"\n"},
      {"log: {level: loud}",
       "f:1:14: log.level must be trace, debug, info, warn, error or off, not \"loud\"\n"},
      {"limits: 5", "f:1:9: limits must be a mapping of keys to values\n"},
      {"limits: {connections: 0}",
       "f:1:23: limits.connections: \"0\" is out of range; allowed is 1 to 1000000\n"},
      {"limits: {connections: -1}", "f:1:23: limits.connections: \"-1\" is not a whole number\n"},
      {"limits: {connections: 99999999999999999999}",
       "f:1:23: limits.connections: \"99999999999999999999\" is not a whole number\n"},
      {"limits: {manifest_bytes: 3MiB}",
       "f:1:26: limits.manifest_bytes: \"3MiB\" is out of range; allowed is 4000000 to 64MiB\n"},
      {"limits: {manifest_bytes: 4MB}",
       "f:1:26: limits.manifest_bytes: \"4MB\" is not a number of bytes, or one with KiB, MiB or GiB\n"},
      {"limits: {upload_idle: 5}",
       "f:1:23: limits.upload_idle: \"5\" is not a duration such as 90s, 15m, 24h or 7d\n"},
      {"limits: {upload_idle: 0}",
       "f:1:23: limits.upload_idle: \"0\" is out of range; allowed is 1s to 365d\n"},
      {"backup: {every: 5s}", "f:1:17: backup.every: \"5s\" is out of range; allowed is 1m to 365d, or 0\n"},
      {"trusted_proxies: 10.0.0.0/8", "f:1:18: trusted_proxies must be a list, not a single value\n"},
      {"references: {}", "f:1:13: references must be a list, not a mapping\n"},
      {"references: [{repositories: [], mode: strict}]",
       "f:1:29: repositories is empty; to match all, write [\"**\"]\n"},
      {"references: [{repositories: [\"!\"], mode: strict}]", "f:1:30: a pattern in repositories is empty\n"},
      {"references: [{repositories: [a], mode: lax}]",
       "f:1:40: mode must be strict or sparse, not \"lax\"\n"},
      {"references: [{}]",
       "f:1:14: an entry of references lacks repositories; to match all, write repositories: [\"**\"]\n"
       "f:1:14: an entry of references lacks mode; write strict or sparse\n"},
      {"[a]", "f:1:1: the file must be a mapping of keys to values\n"},
      {"just text", "f:1:1: the file must be a mapping of keys to values\n"},
  };
  for (const auto& [yaml, wanted] : cases) {
    CAPTURE(yaml);
    CHECK(problems(yaml) == wanted);
  }
}

TEST_CASE("addresses and URLs are checked") {
  for (const char* bad :
       {"5000", "127.0.0.1", "::1:5000", "[127.0.0.1]:5000", "127.0.0.1:65536", "127.0.0.1:x", "[::1]5000",
        "127.0.0.1:", ":5000", "*:5000", "example.com:5000", "127.0.0.1:-1", "[::1%lo]:1", "\"\""}) {
    CAPTURE(bad);
    CHECK(has(problems("listen: '" + std::string(bad) + "'"), "is not an address to listen on"));
  }
  for (const char* bad :
       {"10.0.0.0/33", "10.0.0.1/8", "::/129", "10.0.0.0/", "10.0.0/8", "x", "", "fd00::1/8"}) {
    CAPTURE(bad);
    CHECK(has(problems("trusted_proxies: ['" + std::string(bad) + "']"), "is not an address range"));
  }
  for (const char* bad : {"ui.example.com", "https://a/path", "https://a/", "null", "https://*.a", ""}) {
    CAPTURE(bad);
    CHECK(has(problems("cors: {origins: ['" + std::string(bad) + "']}"), "is not an origin"));
  }
  CHECK(has(problems("cors: {origins: ['https://a', '*']}"), "stands alone: it is every origin"));
  CHECK(problems("cors: {origins: ['*']}").empty());
  for (const char* bad : {"registry.example.com",
                          "ftp://a",
                          "https://",
                          "https://a//b",
                          "https://a/v2",
                          "https://a/b/v2/",
                          "https://a/../b",
                          "https://a/b%20c",
                          "https://u@a",
                          "https://a?b",
                          "https://a:0",
                          "https://a:99999",
                          "https://[::1",
                          "https://a b",
                          "https://[a]:1",
                          "https://a:",
                          "https://a%62",
                          "https://\xc3\xa9",
                          "https://0x7f.1",
                          "https:///a",
                          "https:a",
                          "HTTPS://a"}) {
    CAPTURE(bad);
    CHECK(has(problems("external_url: '" + std::string(bad) + "'"), "is not a base URL"));
  }
  for (const char* good :
       {"https://[::1]:8443", "http://a", "https://a-b.c:1/", "https://[fd00::1]", "https://a/registry",
        "https://a:1/b/c.d/", "https://A.b:443/c", "http://192.0.2.1:80", ""}) {
    CAPTURE(good);
    CHECK(problems("external_url: '" + std::string(good) + "'").empty());
  }
}

TEST_CASE("all problems are reported, in the order of the file") {
  CHECK(problems("tls: {key: k}\nlisten: x\ndata: a\ndata: b\nlog: {levle: info}\n") ==
        "f:1:12: tls.key is set without tls.cert; TLS needs both\n"
        "f:2:9: listen: \"x\" is not an address to listen on: write HOST:PORT, for example 127.0.0.1:5000\n"
        "f:4:1: duplicate key \"data\": it already stands in line 3\n"
        "f:5:7: unknown key \"levle\" in log; did you mean \"level\"?\n");
  CHECK(has(problems("log: {level: info, level: warn}"), "f:1:20: duplicate key \"level\""));
}

TEST_CASE("TLS needs certificate and key, client certificates need TLS") {
  CHECK(problems("tls: {cert: c}") == "f:1:13: tls.cert is set without tls.key; TLS needs both\n");
  CHECK(has(problems("tls: {client_ca: c}"), "tls.client_ca is set without tls.cert"));
  CHECK(problems("tls: {cert: c, key: k, client_ca: a}").empty());
  CHECK(has(problems("auth: {mtls: {ca: a}}"), "auth.mtls.ca is set without tls.cert"));
  CHECK(problems("tls: {cert: c, key: k}\nauth: {mtls: {ca: a, identity: uri}}").empty());
  CHECK(has(problems("tls: {cert: c, key: k, client_ca: b}\nauth: {mtls: {ca: a}}"), "another file than"));
  CHECK(has(problems("auth: {mtls: {identity: san}}"), "auth.mtls.identity must be cn, dns or uri"));
  // Half in the file, half in the environment.
  CHECK(problems({{"STELE_TLS_CERT", "c"}, {"STELE_TLS_KEY", "k"}}).empty());
  CHECK(problems({{"STELE_TLS_CERT", "c"}}) ==
        "STELE_TLS_CERT: tls.cert is set without tls.key; TLS needs both\n");
}

TEST_CASE("beyond loopback only with TLS or on purpose") {
  for (const char* beyond :
       {"0.0.0.0:5000", "'[::]:5000'", "192.0.2.1:80", "'[::ffff:192.0.2.1]:80'", "128.0.0.1:1"}) {
    CAPTURE(beyond);
    const std::string listen = "listen: " + std::string(beyond) + "\n";
    const std::string refused = problems(listen);
    CHECK(has(refused, "f:1:9: listening on "));
    for (const char* way_out : {"tls.cert and tls.key", "127.0.0.1", "--insecure"})
      CHECK(has(refused, way_out));
    CHECK(problems(listen + "insecure: on").empty());
    CHECK(problems(listen + "tls: {cert: c, key: k}").empty());
  }
  for (const char* here :
       {"127.0.0.1:0", "localhost:5000", "127.9.9.9:1", "'[::1]:5000'", "'[::ffff:127.0.0.1]:1'"}) {
    CAPTURE(here);
    CHECK(problems("listen: " + std::string(here)).empty());
  }
  ConfigFlags flags;
  flags.listen = "0.0.0.0:5000";
  CHECK(has(problems({}, flags), "--listen: listening on 0.0.0.0:5000"));
  CHECK(problems({{"STELE_INSECURE", "on"}}, flags).empty());
  flags.insecure = true;
  CHECK(problems({{"STELE_INSECURE", "off"}}, flags).empty());
}

TEST_CASE("metrics beside the registry, not on it") {
  CHECK(problems("metrics: {listen: 0.0.0.0:9100}").empty());
  CHECK(problems("metrics: {listen: off}").empty());
  CHECK(has(problems("metrics: {listen: localhost:5000}"), "f:1:19: metrics.listen is the same as listen"));
}

TEST_CASE("unknown variables are errors, those of others are not") {
  CHECK(problems({{"STELE_LISEN", "x"}}) == "STELE_LISEN: unknown variable; did you mean STELE_LISTEN?\n");
  CHECK(has(problems({{"STELE_QWERTY", "x"}}), "STELE_QWERTY: unknown variable; `stele config schema`"));
  CHECK(has(problems({{"STELE_QWERTY", ""}}), "unknown variable"));
  CHECK(has(problems({{"STELE_PORT", "5000"}}), "unknown variable"));
  CHECK(has(problems({{"STELE_LIMITS_CONNECTIONS", "many"}}),
            "STELE_LIMITS_CONNECTIONS: limits.connections: \"many\""));
  CHECK(has(problems({{"STELE_REFERENCES", "["}}), "STELE_REFERENCES:1:"));
  CHECK(has(problems({{"STELE_DATA", "a\xff"}}), "STELE_DATA: data contains a control character"));
  CHECK(problems({{"STELE_CONFIG", ""}, {"PATH", "x"}}).empty());
  CHECK(problems({{"STELE_SERVICE_HOST", "10.0.0.5"},
                  {"STELE_SERVICE_PORT", "5000"},
                  {"STELE_SERVICE_PORT_HTTP", "5000"},
                  {"STELE_PORT", "tcp://10.0.0.5:5000"},
                  {"STELE_PORT_5000_TCP", "tcp://10.0.0.5:5000"},
                  {"STELE_PORT_5000_TCP_PROTO", "tcp"},
                  {"STELE_PORT_5000_TCP_PORT", "5000"},
                  {"STELE_PORT_5000_TCP_ADDR", "10.0.0.5"},
                  {"STELE_METRICS_SERVICE_HOST", "10.0.0.6"},
                  {"STELE_METRICS_PORT", "udp://10.0.0.6:9100"}})
            .empty());
}

TEST_CASE("YAML that nobody needs here is refused") {
  CHECK(problems("a: &x 1\nb: *x") ==
        "f:1:4: anchors and aliases (&, *) are not supported; write the value out, or in quotes if it is a "
        "pattern\n");
  CHECK(has(problems("references: [{repositories: [**], mode: strict}]"), "must stand in quotes"));
  CHECK(problems("references: [{repositories: [!a/b], mode: strict}]") ==
        "f:1:30: the YAML tag \"!a/b\" is not supported; if it is a pattern, put it in quotes\n");
  CHECK(has(problems("data: !!binary aGk="), "f:1:7: the YAML tag"));
  CHECK(has(problems("data: a\n---\ndata: b\n"), "a second document begins"));
  CHECK(has(problems("? [a]\n: b\n"), "a key must be text"));
  CHECK(has(problems("~: b\n"), "a key is missing"));
  CHECK(has(problems("data: [\n"), "not valid YAML"));
  CHECK(find_unprintable(problems("data: \"a\\")) == std::string_view::npos);  // names what it met: the end
  CHECK(has(problems("data: a\n\tlisten: b\n"), "f:2:"));
}

TEST_CASE("hostile input is refused in bounded time") {
  const std::size_t most = max_config_bytes;
  CHECK(has(problems(std::string("a\0b", 3)), "f:1:2: not text"));
  CHECK(has(problems("data: a\nb: \xff\xfe"), "f:2:4: not text"));
  CHECK(has(problems(std::string("\xff\xfe"
                                 "a\0",
                                 4)),
            "not text"));
  CHECK(has(problems("data: \"\xed\xa0\x80\""), "not text"));
  CHECK(has(problems(repeated("#", most + 1)), "larger than 1 MiB"));
  CHECK(problems("\xef\xbb\xbf" + repeated("#", most)).empty());

  // What looks at all of it again for each piece would not end before the test's time is over.
  for (const char* part :
       {"[",  "{",   "- ",      "? ",    "a: ",   "[a: ",        "{a: b, ",   "&a ", "*a ",  "!",   "'",
        "\"", "|\n", "k: |\n ", "- a\n", "---\n", "%YAML 1.2\n", "\"\\u0041", "a\n", "[[],", "- - "}) {
    CAPTURE(part);
    CHECK_FALSE(problems(repeated(part, most)).empty());
  }

  CHECK(has(problems("a: " + repeated("[", 17) + repeated("]", 17)), "nested more than 16 levels deep"));
  std::string laughs = "a: &a [x, x]\n";
  for (char c = 'b'; c <= 'z'; ++c) {
    const char before = static_cast<char>(c - 1);
    laughs += std::string(1, c) + ": &" + c + " [*" + before + ", *" + before + "]\n";
  }
  CHECK(has(problems(laughs), "anchors and aliases"));
}

TEST_CASE("a flood of problems is cut") {
  std::string text;
  for (int i = 0; i < 15000; ++i) text += "key" + std::to_string(i) + ": 1\n";
  const auto loaded = parse_config_text(text, "f");
  REQUIRE(loaded.has_error());
  CHECK(loaded.error().size() == ConfigProblems::limit + 1);
  CHECK(has(loaded.error().to_string(),
            "f:100:1: unknown key \"key99\"\nf: there are more problems; these are the first 100\n"));
}
