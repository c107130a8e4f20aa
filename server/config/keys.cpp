#include "server/config/keys.hpp"

#include <algorithm>
#include <stdexcept>

namespace stele::config {
namespace {

constexpr std::uint64_t KiB = 1 << 10, MiB = 1 << 20;
constexpr std::uint64_t minute = 60, day = 86400;

// `at<&Config::listen>` and `at<&Config::tls, &Config::Tls::cert>` as plain functions.
template <auto Member>
auto& at(Config& config) {
  return config.*Member;
}
template <auto Section, auto Member>
auto& at(Config& config) {
  return (config.*Section).*Member;
}

const Key table[] = {
    {"listen",
     ValueType::listen_address,
     at<&Config::listen>,
     "Address and port of the registry. Port `0` lets the system choose one. Beyond loopback it needs `tls` "
     "or "
     "`insecure`.",
     {},
     "--listen"},
    {"data",
     ValueType::path,
     at<&Config::data>,
     "Directory that holds everything: catalog, blobs, uploads, backups.",
     {},
     "--data"},
    {"policy",
     ValueType::path,
     at<&Config::policy>,
     "Policy file (tag rules, access rules, lifecycle). Empty: the default rules.",
     {},
     "--policy"},
    {"external_url", ValueType::url, at<&Config::external_url>,
     "How clients reach this registry, for example `https://registry.example.com`; a path behind it is one "
     "that "
     "the proxy takes off. What clients are sent on to (`Location`, `Link`, the token realm) begins with it. "
     "Empty: taken from each request."},
    {"trusted_proxies", ValueType::address_ranges, at<&Config::trusted_proxies>,
     "Addresses and ranges whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed."},
    {"cors.origins", ValueType::origins, at<&Config::cors, &Config::Cors::origins>,
     "Web pages of other origins whose scripts may use the registry, such as `https://ui.example.com`. `*`: "
     "those "
     "of every origin may read what anybody may."},
    {"tls.cert", ValueType::path, at<&Config::tls, &Config::Tls::cert>,
     "Certificate chain, PEM. With `tls.key` it turns TLS on."},
    {"tls.key", ValueType::path, at<&Config::tls, &Config::Tls::key>, "Private key of `tls.cert`, PEM."},
    {"tls.client_ca", ValueType::path, at<&Config::tls, &Config::Tls::client_ca>,
     "Certificate authorities whose client certificates are accepted, PEM."},
    {"auth.htpasswd.file", ValueType::path, at<&Config::auth, &Config::Auth::htpasswd_file>,
     "Users and their passwords, as `htpasswd -B` writes them. Set: only who logs in may pull and push. See "
     "[authentication.md](authentication.md)."},
    {"auth.ldap.url", ValueType::text, at<&Config::ldap, &Config::Ldap::url>,
     "Directory that knows users, `ldaps://HOST` or `ldap://HOST`; several, separated by spaces, are asked "
     "in "
     "turn. See [ldap.md](ldap.md)."},
    {"auth.ldap.start_tls", ValueType::toggle, at<&Config::ldap, &Config::Ldap::start_tls>,
     "Encrypt connections to `ldap://`. `off` sends passwords as they are."},
    {"auth.ldap.ca", ValueType::path, at<&Config::ldap, &Config::Ldap::ca>,
     "Certificate authorities of the directory, PEM. Empty: the system's."},
    {"auth.ldap.bind_dn", ValueType::text, at<&Config::ldap, &Config::Ldap::bind_dn>,
     "Entry as which the directory is searched. Empty: anonymously."},
    {"auth.ldap.bind_password_file", ValueType::path, at<&Config::ldap, &Config::Ldap::bind_password_file>,
     "File with the password of `auth.ldap.bind_dn`."},
    {"auth.ldap.user_base", ValueType::text, at<&Config::ldap, &Config::Ldap::user_base>,
     "Where users are searched."},
    {"auth.ldap.user_filter", ValueType::text, at<&Config::ldap, &Config::Ldap::user_filter>,
     "Which entry a user is; `{user}` stands for the name."},
    {"auth.ldap.user_attribute", ValueType::text, at<&Config::ldap, &Config::Ldap::user_attribute>,
     "Attribute that has a user's name, as rules and logs call him."},
    {"auth.ldap.group_base", ValueType::text, at<&Config::ldap, &Config::Ldap::group_base>,
     "Where groups are searched. Empty: no user is in any."},
    {"auth.ldap.group_filter", ValueType::text, at<&Config::ldap, &Config::Ldap::group_filter>,
     "Which entries are a user's groups; `{dn}` stands for the user's entry, `{user}` for the name."},
    {"auth.ldap.group_attribute", ValueType::text, at<&Config::ldap, &Config::Ldap::group_attribute>,
     "Attribute that has a group's name, as rules call it."},
    {"auth.ldap.groups_ttl",
     ValueType::duration,
     at<&Config::ldap, &Config::Ldap::groups_ttl>,
     "How long what the directory said of a user and his groups is believed. 0: each request asks.",
     {0, 3600}},
    {"auth.ldap.timeout",
     ValueType::duration,
     at<&Config::ldap, &Config::Ldap::timeout>,
     "How long an answer of the directory may take.",
     {1, 60}},
    {"auth.robots", ValueType::toggle, at<&Config::auth, &Config::Auth::robots>,
     "Whether robots log in where no user can. On: only who logs in may pull and push. Where users log in, "
     "robots do anyway. See [robots.md](robots.md)."},
    {"auth.local_users", ValueType::toggle, at<&Config::auth, &Config::Auth::local_users>,
     "Whether local users (`stele user`) log in where nobody else can. On: only who logs in may pull and "
     "push. "
     "Where others log in, local users do anyway. See [authentication.md](authentication.md#local-users)."},
    {"auth.mtls.ca", ValueType::path, at<&Config::auth, &Config::Auth::mtls_ca>,
     "Certificate authorities, PEM, whose client certificates log in; who shows none logs in otherwise. "
     "Revocation lists may stand in it as well. See [authentication.md](authentication.md#certificates)."},
    {"auth.mtls.identity", ValueType::certificate_name, at<&Config::auth, &Config::Auth::mtls_identity>,
     "Which name in a client certificate is its owner's: the common name, the only DNS name or the only URI "
     "(SPIFFE)."},
    {"auth.oidc", ValueType::oidc_issuers, at<&Config::auth, &Config::Auth::oidc>,
     "Issuers whose ID tokens are accepted, for CI jobs: a list of `{issuer: github|gitlab|URL, audience: …, "
     "claims: {CLAIM: VALUE, …}, …}`; see [ci.md](ci.md)."},
    {"auth.tokens.ttl",
     ValueType::duration,
     at<&Config::auth, &Config::Auth::tokens_ttl>,
     "How long a token holds that a client gets for a password. `0`: no tokens, clients send the password "
     "with "
     "each request.",
     {minute, day, true}},
    {"auth.external_tokens.issuer", ValueType::text,
     at<&Config::external_tokens, &Config::ExternalTokens::issuer>,
     "Issuer (`iss`) of a token server of your own whose tokens are accepted. See "
     "[authentication.md](authentication.md#an-external-token-server)."},
    {"auth.external_tokens.audience", ValueType::text,
     at<&Config::external_tokens, &Config::ExternalTokens::audience>,
     "Whom its tokens must be for (`aud`): the `service` that this registry has there."},
    {"auth.external_tokens.jwks_file", ValueType::path,
     at<&Config::external_tokens, &Config::ExternalTokens::jwks_file>,
     "Its public keys, a JSON Web Key Set; read again when it changes."},
    {"auth.external_tokens.realm", ValueType::text,
     at<&Config::external_tokens, &Config::ExternalTokens::realm>,
     "Where clients are sent for a token. Empty: to this registry's own `/token`."},
    {"limits.manifest_bytes",
     ValueType::size,
     at<&Config::limits, &Config::Limits::manifest_bytes>,
     "Largest manifest that is accepted.",
     {4000000, 64 * MiB}},
    {"limits.header_bytes",
     ValueType::size,
     at<&Config::limits, &Config::Limits::header_bytes>,
     "Largest request header that is accepted, request line included.",
     {4 * KiB, 1 * MiB}},
    {"limits.connections",
     ValueType::count,
     at<&Config::limits, &Config::Limits::connections>,
     "Most connections open at once. Each takes up to 16 KiB of memory, over TLS up to 36.",
     {1, 1000000}},
    {"limits.upload_idle",
     ValueType::duration,
     at<&Config::limits, &Config::Limits::upload_idle>,
     "An upload that nobody continues for this long is discarded; one without bytes after ten minutes, if "
     "that "
     "is less.",
     {1, 365 * day}},
    {"limits.principal_requests",
     ValueType::count,
     at<&Config::limits, &Config::Limits::principal_requests>,
     "Most requests of one user, robot, job or certificate in a minute; more are answered `429`. `0`: no "
     "limit.",
     {1, 100000000, true}},
    {"limits.address_requests",
     ValueType::count,
     at<&Config::limits, &Config::Limits::address_requests>,
     "The same of one address (of IPv6, of a /64), before it is known who asks. `0`: no limit.",
     {1, 100000000, true}},
    {"limits.principal_bytes",
     ValueType::size,
     at<&Config::limits, &Config::Limits::principal_bytes>,
     "Most bytes that one user, robot, job or certificate sends and receives in a minute; who is beyond it "
     "is "
     "answered `429` when he begins another request. `0`: no limit.",
     {1 * MiB, 1024 * 1024 * MiB, true}},
    {"limits.address_bytes",
     ValueType::size,
     at<&Config::limits, &Config::Limits::address_bytes>,
     "The same of one address (of IPv6, of a /64). `0`: no limit.",
     {1 * MiB, 1024 * 1024 * MiB, true}},
    {"references", ValueType::reference_rules, at<&Config::references>,
     "Whether a manifest may name content that its repository does not have (`sparse`) or not (`strict`): a "
     "list of "
     "`{repositories: [PATTERN, …], mode: strict|sparse}`. The first that matches decides; none: `strict`."},
    {"mirrors", ValueType::mirrors, at<&Config::mirrors>,
     "Registries whose images are fetched when somebody asks for them, and then kept here: a list of `{name: "
     "docker.io, upstreams: [URL, …], …}`; see [mirror.md](mirror.md)."},
    {"delete", ValueType::toggle, at<&Config::delete_enabled>,
     "Whether clients may delete tags, manifests and blobs."},
    {"log.level", ValueType::log_level, at<&Config::log, &Config::Log::level>,
     "Least severity that is logged."},
    {"log.format", ValueType::log_format, at<&Config::log, &Config::Log::format>,
     "Form of each line of log."},
    {"log.access", ValueType::toggle, at<&Config::log, &Config::Log::access>,
     "Whether each request is logged."},
    {"metrics.listen", ValueType::optional_listen_address, at<&Config::metrics, &Config::Metrics::listen>,
     "Address and port that answer `/metrics`, without TLS. Set: only there. `off`: on the main listener."},
    {"require_existing", ValueType::toggle, at<&Config::require_existing>,
     "Refuse to start on a data directory that is absent or empty, instead of creating it."},
    {"backup.every",
     ValueType::duration,
     at<&Config::backup, &Config::Backup::every>,
     "Time between two copies of the catalog, kept beside the data. `0`: none.",
     {minute, 365 * day, true}},
    {"backup.keep",
     ValueType::count,
     at<&Config::backup, &Config::Backup::keep>,
     "How many of these copies are kept; the oldest go first.",
     {1, 1000}},
    {"gc.lease",
     ValueType::duration,
     at<&Config::gc, &Config::Gc::lease>,
     "Content that nothing needs stays for this long after it was pushed, looked at or needed last; nothing "
     "is "
     "collected for this long after a start.",
     {1, 30 * day}},
    {"scrub.every",
     ValueType::duration,
     at<&Config::scrub, &Config::Scrub::every>,
     "Time from the begin of one scrub, which reads every blob again and compares its digest, to the next. "
     "`0`: only when it is asked for.",
     {minute, 365 * day, true}},
    {"scrub.rate",
     ValueType::size,
     at<&Config::scrub, &Config::Scrub::rate>,
     "What the scrub reads at most in a second.",
     {64 * KiB, 1024 * 1024 * MiB}},
    {"insecure",
     ValueType::toggle,
     at<&Config::insecure>,
     "Allow listening beyond loopback without TLS, on a network that is trusted or behind a proxy.",
     {},
     "--insecure"},
    {"test.ticks_per_second",
     ValueType::count,
     at<&Config::test, &Config::Test::ticks_per_second>,
     "What the limits on how long a connection keeps the server waiting count, instead of seconds.",
     {1, 1000},
     {},
     true},
};

bool is_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// "5000_TCP", "5000_TCP_ADDR", "5000_UDP_PORT": what follows _PORT_ in a service link.
bool is_port_link(std::string_view text) {
  const std::size_t end = text.find('_');
  if (end == std::string_view::npos || !is_digits(text.substr(0, end))) return false;
  const std::string_view rest = text.substr(end + 1, 4);
  return rest == "TCP" || rest == "UDP" || rest == "TCP_" || rest == "UDP_";
}

}  // namespace

std::string_view Key::section() const {
  const std::size_t dot = name.rfind('.');
  return dot == std::string_view::npos ? std::string_view() : name.substr(0, dot);
}

std::string_view Key::leaf() const {
  return name.substr(name.rfind('.') + 1);
}

std::string Key::variable() const {
  std::string variable = "STELE_";
  for (const char c : name) variable += c == '.' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  return variable;
}

std::span<const Key> keys() {
  return table;
}

std::size_t find_key(std::string_view name) {
  const auto found =
      std::find_if(std::begin(table), std::end(table), [&](const Key& key) { return key.name == name; });
  return found == std::end(table) ? std::string_view::npos
                                  : static_cast<std::size_t>(found - std::begin(table));
}

std::size_t key_index(std::string_view name) {
  const std::size_t index = find_key(name);
  if (index == std::string_view::npos) throw std::logic_error("no configuration key " + std::string(name));
  return index;
}

bool is_section(std::string_view name) {
  return !name.empty() && std::any_of(std::begin(table), std::end(table), [&](const Key& key) {
    return key.name.size() > name.size() && key.name[name.size()] == '.' && key.name.starts_with(name);
  });
}

bool is_foreign_variable(std::string_view name, std::string_view value) {
  if (name == "STELE_CONFIG") return true;
  if (name.ends_with("_SERVICE_HOST") || name.ends_with("_SERVICE_PORT")) return true;
  if (name.find("_SERVICE_PORT_") != std::string_view::npos) return true;
  if (name.ends_with("_PORT") && (value.starts_with("tcp://") || value.starts_with("udp://"))) return true;
  const std::size_t port = name.find("_PORT_");
  return port != std::string_view::npos && is_port_link(name.substr(port + 6));
}

}  // namespace stele::config
