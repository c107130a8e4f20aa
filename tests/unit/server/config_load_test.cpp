// Reading: every key, every source, their precedence.
#include "server/config/load.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "server/config/keys.hpp"
#include "server/config/render.hpp"
#include "tests/support/catch.hpp"

using namespace stele;
using namespace std::chrono_literals;

namespace {

LoadedConfig parsed(std::string_view yaml) {
  auto loaded = parse_config_text(yaml, "stele.yaml");
  INFO((loaded.has_error() ? loaded.error().to_string() : ""));
  REQUIRE(loaded.has_value());
  return *loaded;
}

// A file of its own name, gone at the end of the test.
class ConfigFile {
 public:
  explicit ConfigFile(std::string_view text) {
    char name[] = "/tmp/stele-config-XXXXXX";
    const int fd = ::mkstemp(name);
    REQUIRE(fd >= 0);
    ::close(fd);
    path_ = name;
    std::ofstream(path_, std::ios::binary) << text;
  }
  ~ConfigFile() { std::filesystem::remove(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string origin(const LoadedConfig& loaded, std::string_view key) {
  return loaded.origins[config::key_index(key)].to_string();
}

constexpr std::string_view every_key = R"(
listen: "[::1]:5001"
data: /srv/stele
policy: policy.yaml
external_url: https://registry.example.com:8443/
trusted_proxies: [10.0.0.0/8, 192.0.2.1, "fd00::/8"]
cors: {origins: ["https://UI.example.com", "http://localhost:8080"]}
tls: {cert: cert.pem, key: key.pem, client_ca: ca.pem}
auth:
  htpasswd: {file: users}
  tokens: {ttl: 10m}
  external_tokens: {issuer: tokens.example, audience: registry.example, jwks_file: keys.json, realm: "https://tokens.example/auth"}
  robots: on
  local_users: on
  ldap:
    url: ldaps://one.example ldap://two.example
    start_tls: off
    ca: dc.pem
    bind_dn: cn=stele,dc=example
    bind_password_file: secret
    user_base: ou=people,dc=example
    user_filter: (mail={user})
    user_attribute: mail
    group_base: ou=groups,dc=example
    group_filter: (memberUid={user})
    group_attribute: ou
    groups_ttl: 5m
    timeout: 9s
  mtls: {ca: ca.pem, identity: uri}
  oidc:
    - {issuer: github, audience: registry.example, claims: {repository_owner_id: 4711}}
limits: {manifest_bytes: 4000000, header_bytes: 64KiB, connections: 500, upload_idle: 90s, principal_requests: 600, address_requests: 1200, principal_bytes: 10GiB, address_bytes: 20GiB}
references:
  - {repositories: ["demo/**", "!demo/x"], mode: sparse}
  - repositories:
      - prod/*
    mode: strict
mirrors:
  - {name: docker.io, upstreams: ["https://registry-1.docker.io"], default: on}
delete: off
log: {level: trace, format: json, access: false}
metrics: {listen: 127.0.0.1:9000}
require_existing: true
backup: {every: 0, keep: 3}
gc: {lease: 2h}
scrub: {every: 30d, rate: 1MiB}
insecure: on
test: {ticks_per_second: 10}
)";

}  // namespace

TEST_CASE("without any source the defaults hold") {
  for (const char* empty : {"", "\n", "# nothing\n", "---\n", "{}",
                            "tls:\nauth:\n  htpasswd:\nlimits:\nreferences:\ntrusted_proxies:\n"}) {
    CAPTURE(empty);
    const Config config = parsed(empty).config;
    CHECK(config.listen.to_string() == "127.0.0.1:5000");
    CHECK(config.data == "./data");
    CHECK(config.policy.empty());
    CHECK_FALSE(config.tls.enabled());
    CHECK(config.limits.manifest_bytes == 4194304);
    CHECK(config.limits.header_bytes == 32768);
    CHECK(config.limits.connections == 10000);
    CHECK(config.limits.upload_idle == 24h);
    CHECK(config.references.empty());
    CHECK(config.delete_enabled);
    CHECK(config.log.level == Config::LogLevel::info);
    CHECK(config.log.format == Config::LogFormat::text);
    CHECK(config.log.access);
    CHECK_FALSE(config.metrics.listen);
    CHECK_FALSE(config.require_existing);
    CHECK(config.backup.every == 24h);
    CHECK(config.backup.keep == 7);
    CHECK(config.gc.lease == 24h);
    CHECK(config.scrub.every == 7 * 24h);
    CHECK(config.scrub.rate == 64 << 20);
    CHECK_FALSE(config.insecure);
  }
}

TEST_CASE("a file sets every key") {
  const LoadedConfig loaded = parsed(every_key);
  const Config& config = loaded.config;
  CHECK(config.listen.host == "::1");
  CHECK(config.listen.port == 5001);
  CHECK(config.data == "/srv/stele");
  CHECK(config.policy == "policy.yaml");
  CHECK(config.external_url == "https://registry.example.com:8443");
  REQUIRE(config.trusted_proxies.size() == 3);
  CHECK(config.trusted_proxies[0].to_string() == "10.0.0.0/8");
  CHECK(config.cors.origins == std::vector<std::string>{"https://ui.example.com", "http://localhost:8080"});
  CHECK(config.tls.enabled());
  CHECK(config.tls.key == "key.pem");
  CHECK(config.tls.client_ca == "ca.pem");
  CHECK(config.auth.htpasswd_file == "users");
  CHECK(config.auth.tokens_ttl == 10min);
  CHECK(config.auth.robots);
  CHECK(config.auth.local_users);
  CHECK(config.external_tokens.issuer == "tokens.example");
  CHECK(config.external_tokens.audience == "registry.example");
  CHECK(config.external_tokens.jwks_file == "keys.json");
  CHECK(config.external_tokens.realm == "https://tokens.example/auth");
  CHECK(config.ldap.urls() == std::vector<std::string>{"ldaps://one.example", "ldap://two.example"});
  CHECK_FALSE(config.ldap.start_tls);
  CHECK(config.ldap.ca == "dc.pem");
  CHECK(config.ldap.bind_dn == "cn=stele,dc=example");
  CHECK(config.ldap.bind_password_file == "secret");
  CHECK(config.ldap.user_base == "ou=people,dc=example");
  CHECK(config.ldap.user_filter == "(mail={user})");
  CHECK(config.ldap.user_attribute == "mail");
  CHECK(config.ldap.group_base == "ou=groups,dc=example");
  CHECK(config.ldap.group_filter == "(memberUid={user})");
  CHECK(config.ldap.group_attribute == "ou");
  CHECK(config.ldap.groups_ttl == 5min);
  CHECK(config.ldap.timeout == 9s);
  CHECK(config.limits.manifest_bytes == 4000000);
  CHECK(config.limits.header_bytes == 65536);
  CHECK(config.limits.connections == 500);
  CHECK(config.limits.upload_idle == 90s);
  CHECK(config.limits.principal_requests == 600);
  CHECK(config.limits.principal_bytes == 10ull << 30);
  CHECK(config.limits.address_bytes == 20ull << 30);
  CHECK(config.limits.address_requests == 1200);
  REQUIRE(config.references.size() == 2);
  CHECK(config.references[0].repositories == std::vector<std::string>{"demo/**", "!demo/x"});
  CHECK(config.references[0].mode == Config::ReferenceMode::sparse);
  CHECK(config.references[1].mode == Config::ReferenceMode::strict);
  REQUIRE(config.mirrors.size() == 1);
  CHECK(config.mirrors[0].name == "docker.io");
  CHECK(config.mirrors[0].is_default);
  CHECK_FALSE(config.delete_enabled);
  CHECK(config.log.level == Config::LogLevel::trace);
  CHECK(config.log.format == Config::LogFormat::json);
  CHECK_FALSE(config.log.access);
  REQUIRE(config.metrics.listen);
  CHECK(config.metrics.listen->port == 9000);
  CHECK(config.require_existing);
  CHECK(config.backup.every == 0s);
  CHECK(config.backup.keep == 3);
  CHECK(config.gc.lease == 2h);
  CHECK(config.scrub.every == 30 * 24h);
  CHECK(config.scrub.rate == 1 << 20);
  CHECK(config.insecure);
  for (const ConfigOrigin& where : loaded.origins) CHECK(where.kind == ConfigOrigin::Kind::file);
}

TEST_CASE("every key is settable by its variable") {
  // The values of every_key, as print_config writes them, must be readable from the environment as well.
  const LoadedConfig wanted = parsed(every_key);
  ConfigSources sources;
  const std::map<std::string_view, std::string> texts = {
      {"listen", "[::1]:5001"},
      {"data", "/srv/stele"},
      {"policy", "policy.yaml"},
      {"external_url", "https://registry.example.com:8443"},
      {"trusted_proxies", "10.0.0.0/8, 192.0.2.1,fd00::/8"},
      {"cors.origins", "https://ui.example.com, http://localhost:8080"},
      {"tls.cert", "cert.pem"},
      {"tls.key", "key.pem"},
      {"tls.client_ca", "ca.pem"},
      {"auth.htpasswd.file", "users"},
      {"auth.tokens.ttl", "10m"},
      {"auth.robots", "on"},
      {"auth.local_users", "on"},
      {"auth.external_tokens.issuer", "tokens.example"},
      {"auth.external_tokens.audience", "registry.example"},
      {"auth.external_tokens.jwks_file", "keys.json"},
      {"auth.external_tokens.realm", "https://tokens.example/auth"},
      {"auth.ldap.url", "ldaps://one.example ldap://two.example"},
      {"auth.ldap.start_tls", "off"},
      {"auth.ldap.ca", "dc.pem"},
      {"auth.ldap.bind_dn", "cn=stele,dc=example"},
      {"auth.ldap.bind_password_file", "secret"},
      {"auth.ldap.user_base", "ou=people,dc=example"},
      {"auth.ldap.user_filter", "(mail={user})"},
      {"auth.ldap.user_attribute", "mail"},
      {"auth.ldap.group_base", "ou=groups,dc=example"},
      {"auth.ldap.group_filter", "(memberUid={user})"},
      {"auth.ldap.group_attribute", "ou"},
      {"auth.ldap.groups_ttl", "5m"},
      {"auth.ldap.timeout", "9s"},
      {"auth.mtls.ca", "ca.pem"},
      {"auth.mtls.identity", "uri"},
      {"auth.oidc", R"([{issuer: github, audience: registry.example, claims: {repository_owner_id: 4711}}])"},
      {"limits.manifest_bytes", "4000000"},
      {"limits.header_bytes", "64KiB"},
      {"limits.connections", "500"},
      {"limits.upload_idle", "90s"},
      {"limits.principal_requests", "600"},
      {"limits.address_requests", "1200"},
      {"limits.principal_bytes", "10GiB"},
      {"limits.address_bytes", "20GiB"},
      {"references",
       R"([{repositories: ["demo/**", "!demo/x"], mode: sparse}, {repositories: [prod/*], mode: strict}])"},
      {"mirrors", R"([{name: docker.io, upstreams: ["https://registry-1.docker.io"], default: on}])"},
      {"delete", "off"},
      {"log.level", "trace"},
      {"log.format", "json"},
      {"log.access", "false"},
      {"metrics.listen", "127.0.0.1:9000"},
      {"require_existing", "true"},
      {"backup.every", "0"},
      {"backup.keep", "3"},
      {"gc.lease", "2h"},
      {"scrub.every", "30d"},
      {"scrub.rate", "1MiB"},
      {"insecure", "on"},
      {"test.ticks_per_second", "10"}};
  for (const config::Key& key : config::keys()) {
    CAPTURE(key.name);
    REQUIRE(texts.count(key.name) == 1);
    sources.environment.push_back({key.variable(), texts.at(key.name)});
  }
  auto loaded = load_config(sources);
  INFO((loaded.has_error() ? loaded.error().to_string() : ""));
  REQUIRE(loaded.has_value());
  LoadedConfig same = *loaded;
  for (const ConfigOrigin& where : same.origins) CHECK(where.kind == ConfigOrigin::Kind::environment);
  same.origins = wanted.origins;
  CHECK(print_config(same) == print_config(wanted));
}

TEST_CASE("names of keys and variables are unambiguous") {
  std::set<std::string> variables;
  for (const config::Key& key : config::keys()) {
    CHECK(variables.insert(key.variable()).second);
    CHECK_FALSE(config::is_section(key.name));
    CHECK_FALSE(config::is_foreign_variable(key.variable(), ""));
    CHECK(std::count(key.name.begin(), key.name.end(), '.') <= 2);
  }
  CHECK(config::keys()[config::key_index("limits.manifest_bytes")].variable() ==
        "STELE_LIMITS_MANIFEST_BYTES");
  CHECK_THROWS_AS(config::key_index("nothing"), std::logic_error);
}

TEST_CASE("flags win over variables, variables over the file, the file over the defaults") {
  const ConfigFile file("listen: 127.0.0.1:1\ndata: from-file\npolicy: from-file\nlog:\n  level: warn\n");
  ConfigSources sources;
  sources.flags.config = file.path();
  sources.environment = {{"STELE_LISTEN", "127.0.0.1:2"}, {"STELE_DATA", "from-env"}, {"STELE_POLICY", ""}};
  sources.flags.listen = "127.0.0.1:3";
  const auto loaded = load_config(sources);
  REQUIRE(loaded.has_value());
  CHECK(loaded->config.listen.port == 3);
  CHECK(loaded->config.data == "from-env");
  CHECK(loaded->config.policy == "from-file");  // an empty variable is not set
  CHECK(loaded->config.log.level == Config::LogLevel::warn);
  CHECK(origin(*loaded, "listen") == "flag --listen");
  CHECK(origin(*loaded, "data") == "env STELE_DATA");
  CHECK(origin(*loaded, "policy") == "file " + file.path() + ":3");
  CHECK(origin(*loaded, "log.level") == "file " + file.path() + ":5");
  CHECK(origin(*loaded, "delete") == "default");
  CHECK(loaded->file == file.path());
}

TEST_CASE("STELE_CONFIG names the file and --config another") {
  const ConfigFile one("data: one\n");
  const ConfigFile two("data: two\n");
  ConfigSources sources;
  sources.environment = {{"STELE_CONFIG", one.path()}};
  CHECK(load_config(sources)->config.data == "one");
  sources.flags.config = two.path();
  CHECK(load_config(sources)->config.data == "two");
}

TEST_CASE("a file that cannot be read is a problem with its name") {
  ConfigSources sources;
  sources.flags.config = "/nonexistent/stele.yaml";
  auto loaded = load_config(sources);
  REQUIRE(loaded.has_error());
  CHECK(loaded.error().to_string() ==
        "/nonexistent/stele.yaml: cannot read the configuration: No such file or directory\n");
  sources.flags.config = "/";
  loaded = load_config(sources);
  REQUIRE(loaded.has_error());
  CHECK(loaded.error().front().message == "cannot read the configuration: Is a directory");
  sources.flags.config = "/dev/zero";
  loaded = load_config(sources);
  REQUIRE(loaded.has_error());
  CHECK(loaded.error().front().message == "larger than 1 MiB, which no configuration is");
}

TEST_CASE("what is printed loads to the same configuration") {
  for (const std::string_view text :
       {std::string_view(""), every_key, std::string_view("data: \"a \\\"b\\\" \\\\ ü: #\"\n"),
        std::string_view("data: \"on\"\npolicy: \"~\"\n")}) {
    const LoadedConfig loaded = parsed(text);
    LoadedConfig again = parsed(print_config(loaded));
    again.origins = loaded.origins;
    CHECK(print_config(again) == print_config(loaded));
    CHECK(again.config.data == loaded.config.data);
    CHECK(again.config.policy == loaded.config.policy);
  }
}

TEST_CASE("print names the origin of each value and cannot be led astray by a file's name") {
  const auto loaded = parse_config_text("data: x\n", "odd\nlisten: 0.0.0.0:1");
  REQUIRE(loaded.has_value());
  const std::string text = print_config(*loaded);
  CHECK(text.find("listen: 127.0.0.1:5000  # default\n") == 0);
  CHECK(text.find("data: x  # file odd?listen: 0.0.0.0:1:1\n") != std::string::npos);
  CHECK(text.find("limits:\n  manifest_bytes: 4MiB  # default\n") != std::string::npos);
}

TEST_CASE("the variables of this process are found by their prefix") {
  ::setenv("STELE_TEST_ONLY", "a=b", 1);
  bool found = false;
  for (const auto& [name, value] : stele_environment()) {
    CHECK(name.substr(0, 6) == "STELE_");
    if (name == "STELE_TEST_ONLY") found = value == "a=b";
  }
  ::unsetenv("STELE_TEST_ONLY");
  CHECK(found);
}
