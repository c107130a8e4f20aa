#pragma once
// The configuration of `stele serve` as plain values. The initialisers here are the defaults; names, limits
// and explanations of the keys are in keys.cpp, how they are read in load.hpp.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "auth/oidc_settings.hpp"
#include "http/tls.hpp"
#include "mirror/settings.hpp"
#include "server/config/address.hpp"

namespace stele {

struct Config {
  ListenAddress listen;
  std::string data = "./data";
  std::string policy;        // empty: the default rules
  std::string external_url;  // empty, or scheme://host[:port][/path] without a slash at the end
  std::vector<AddressRange> trusted_proxies;

  struct Cors {
    std::vector<std::string> origins;  // scheme://host[:port] in small letters; or one "*"
  } cors;

  struct Tls {
    std::string cert;  // PEM files; cert and key come together or not at all
    std::string key;
    std::string client_ca;
    bool enabled() const { return !cert.empty(); }
  } tls;

  struct Auth {
    std::string htpasswd_file;                                  // empty: nobody has a password
    std::chrono::seconds tokens_ttl = std::chrono::minutes(5);  // 0: no tokens are made
    bool robots = false;                                        // they log in also where nobody else can
    bool local_users = false;                                   // the same
    std::vector<auth::OidcSettings> oidc;                       // issuers whose ID tokens are accepted
    std::string mtls_ca;                                        // PEM; empty: no certificate is a login
    http::CertificateName mtls_identity = http::CertificateName::common_name;
  } auth;

  // Tokens of a token server that is not this one, as Distribution takes them.
  struct ExternalTokens {
    std::string issuer;  // empty: none are taken
    std::string audience;
    std::string jwks_file;
    std::string realm;  // where clients are sent for one; empty: nowhere
  } external_tokens;

  struct Ldap {
    std::string url;  // several: separated by spaces; empty: no directory is asked
    bool start_tls = true;
    std::string ca;
    std::string bind_dn;
    std::string bind_password_file;
    std::string user_base;
    std::string user_filter = "(uid={user})";
    std::string user_attribute = "uid";
    std::string group_base;
    std::string group_filter = "(member={dn})";
    std::string group_attribute = "cn";
    std::chrono::seconds groups_ttl = std::chrono::seconds(60);
    std::chrono::seconds timeout = std::chrono::seconds(5);
    std::vector<std::string> urls() const;
  } ldap;

  // Whether somebody can log in: then everybody has to.
  bool login() const {
    return auth.robots || auth.local_users || !external_tokens.issuer.empty() ||
           !auth.htpasswd_file.empty() || !ldap.url.empty() || !auth.oidc.empty() || !auth.mtls_ca.empty();
  }

  struct Limits {
    std::uint64_t manifest_bytes = 4 << 20;
    std::uint64_t header_bytes = 32 << 10;
    std::uint64_t connections = 10000;
    std::chrono::seconds upload_idle = std::chrono::hours(24);
    std::uint64_t principal_requests = 0;  // a minute; 0: as many as they like
    std::uint64_t address_requests = 0;    // the same
    std::uint64_t principal_bytes = 0;     // the same
    std::uint64_t address_bytes = 0;       // the same
  } limits;

  enum class ReferenceMode { strict, sparse };
  struct ReferenceRule {
    std::vector<std::string> repositories;  // policy patterns, not yet compiled; at least one
    ReferenceMode mode = ReferenceMode::strict;
    bool operator==(const ReferenceRule&) const = default;
  };
  std::vector<ReferenceRule> references;  // the first that matches decides; none: strict

  std::vector<mirror::Settings> mirrors;

  bool delete_enabled = true;

  enum class LogLevel { trace, debug, info, warn, error, off };
  enum class LogFormat { text, json };
  struct Log {
    LogLevel level = LogLevel::info;
    LogFormat format = LogFormat::text;
    bool access = true;
  } log;

  struct Metrics {
    std::optional<ListenAddress> listen;  // none: /metrics is answered on the main listener
  } metrics;

  bool require_existing = false;

  struct Backup {
    std::chrono::seconds every = std::chrono::hours(24);  // 0: no scheduled backups
    std::uint64_t keep = 7;
  } backup;

  struct Gc {
    std::chrono::seconds lease = std::chrono::hours(24);
  } gc;

  struct Scrub {
    std::chrono::seconds every = std::chrono::hours(7 * 24);  // 0: no pass by itself
    std::uint64_t rate = 64 << 20;                            // bytes per second
  } scrub;

  bool insecure = false;

  struct Test {
    std::uint64_t ticks_per_second = 1;  // of the limits on how long a connection keeps us waiting
  } test;
};

}  // namespace stele
