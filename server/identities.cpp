#include "server/identities.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "server/external_url.hpp"
#include "server/front_handler.hpp"

namespace stele {
namespace {

std::unique_ptr<auth::Passwords> passwords_of(const Config& config, const Clock& clock, ThreadPool& disk) {
  auth::PasswordSettings settings;
  settings.file = config.auth.htpasswd_file;
  return std::make_unique<auth::Passwords>(std::move(settings), clock, disk);
}

std::unique_ptr<auth::DirectoryUsers> directory_of(const Config& config, const Clock& clock) {
  if (config.ldap.url.empty()) return nullptr;
  auth::DirectoryUsersSettings settings;
  settings.ldap.urls = config.ldap.urls();
  settings.ldap.start_tls = config.ldap.start_tls;
  settings.ldap.ca = config.ldap.ca;
  settings.ldap.bind_dn = config.ldap.bind_dn;
  settings.ldap.bind_password_file = config.ldap.bind_password_file;
  settings.ldap.user_base = config.ldap.user_base;
  settings.ldap.user_filter = config.ldap.user_filter;
  settings.ldap.user_attribute = config.ldap.user_attribute;
  settings.ldap.group_base = config.ldap.group_base;
  settings.ldap.group_filter = config.ldap.group_filter;
  settings.ldap.group_attribute = config.ldap.group_attribute;
  settings.ldap.seconds = config.ldap.timeout.count();
  settings.groups_seconds = config.ldap.groups_ttl.count();
  return std::make_unique<auth::DirectoryUsers>(std::move(settings), clock);
}

std::unique_ptr<auth::OidcIssuers> issuers_of(const Config& config, const Clock& clock,
                                              const Clock& boot_clock) {
  if (config.auth.oidc.empty()) return nullptr;
  return std::make_unique<auth::OidcIssuers>(config.auth.oidc, clock, boot_clock);
}

std::unique_ptr<auth::ExternalTokens> external_of(const Config& config, const Clock& clock,
                                                  const Clock& boot_clock) {
  if (config.external_tokens.issuer.empty()) return nullptr;
  auth::ExternalTokenSettings settings;
  settings.issuer = config.external_tokens.issuer;
  settings.audience = config.external_tokens.audience;
  settings.jwks_file = config.external_tokens.jwks_file;
  return std::make_unique<auth::ExternalTokens>(std::move(settings), clock, boot_clock);
}

void warn_of_plain_directories(const Config::Ldap& ldap) {
  for (const std::string& url : ldap.urls()) {
    const bool here = url.starts_with("ldap://127.") || url.starts_with("ldap://localhost") ||
                      url.starts_with("ldap://[::1]");
    if (!ldap.start_tls && url.starts_with("ldap://") && !here)
      spdlog::warn("passwords go to {} as they are: use ldaps:// or auth.ldap.start_tls: on", url);
  }
}

// Loopback alone is no right: a proxy brings the whole network there. And where there are users, nobody is
// let in for coming from this machine.
bool reaches_this_machine_only(const Config& config) {
  return config.listen.is_loopback() && config.tls.client_ca.empty() && config.trusted_proxies.empty() &&
         config.external_url.empty() && !config.login();
}

bool makes_tokens(const Config& config) {
  return config.login() && config.auth.tokens_ttl.count() > 0;
}

// What tokens name as the one they are for.
std::string service_of(const Config& config) {
  std::string host = ExternalUrl::of(config.external_url).host;
  return host.empty() ? "stele" : host;
}

std::unique_ptr<const auth::Tokens> tokens_of(const Config& config, const auth::TokenKeys* keys,
                                              const Clock& clock) {
  if (!keys) return nullptr;
  auth::TokenSettings settings;
  settings.seconds = config.auth.tokens_ttl.count();
  settings.service = service_of(config);
  return std::make_unique<const auth::Tokens>(std::move(settings), *keys, clock);
}

// An address or a name with a port, and nothing that could end a quoted text.
bool is_host(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == ':' || c == '[' || c == ']' || c == '_';
  });
}

}  // namespace

Identities::Identities(const Config& config, const Clock& boot_clock, const Clock& clock, ThreadPool& disk)
    : config_(config),
      clock_(clock),
      first_administrator_(config.data + "/" + auth::FirstAdministrator::file_name),
      passwords_(passwords_of(config, boot_clock, disk)),
      directory_(directory_of(config, boot_clock)),
      issuers_(issuers_of(config, clock, boot_clock)),
      external_(external_of(config, clock, boot_clock)),
      keys_(makes_tokens(config) ? std::make_unique<auth::TokenKeys>(config.data + "/token-keys.json", clock)
                                 : nullptr),
      tokens_(tokens_of(config, keys_.get(), clock)),
      principal_requests_(config.limits.principal_requests, boot_clock),
      principal_bytes_(config.limits.principal_bytes, boot_clock),
      address_requests_(config.limits.address_requests, boot_clock),
      address_bytes_(config.limits.address_bytes, boot_clock) {
  const api::CallerLimits principals{principal_requests_, principal_bytes_};
  const api::CallerLimits addresses{address_requests_, address_bytes_};
  if (!principals.any() && !addresses.any()) return;
  const auto address = [this](const http::Exchange& http) { return address_of(http); };
  request_limits_.emplace(api::RequestLimits{principals, addresses, address});
}

void Identities::count_bytes(const http::RequestSummary& request) {
  const std::uint64_t bytes = request.bytes_received + request.bytes_sent;
  const bool by_socket = request.identity && request.identity->method == Identity::Method::socket;
  const std::string_view route = request.note.route;
  // Probes and metrics are not limited, and refusals that got to no face are not worth counting.
  if (!request_limits_ || bytes == 0 || by_socket || route == "operations" || route == "other") return;
  const std::string& address = request.note.client.empty() ? request.peer.address : request.note.client;
  address_bytes_.spend(auth::Failures::network_of(address), bytes);
  if (request.identity && request.identity->principal != Principal::anonymous())
    principal_bytes_.spend(request.identity->principal.name(), bytes);
}

std::string Identities::address_of(const http::Exchange& http) const {
  const std::string forwarded = http.request().joined_header("X-Forwarded-For");
  return client_address(http.peer().address, forwarded, config_.trusted_proxies);
}

void Identities::attach(sql::Database& database, sql::Writer& writer) {
  login_tokens_.emplace(database, writer, clock_);
  robots_.emplace(database, writer, clock_, *login_tokens_);
  user_tokens_.emplace(database, writer, clock_);
  local_users_.emplace(database, writer, clock_);
  passwords_->attach(*local_users_);
  say_who_can_begin();
  authenticator_.emplace(settings());
}

void Identities::say_who_can_begin() const {
  const auto until = first_administrator_.open_until(clock_.now());
  if (until && !login()) {
    spdlog::warn("the token of stele init is of no use: nobody can log in here; set auth.local_users: on");
  } else if (until) {
    spdlog::info("whoever has the token that stele init printed can become the first administrator until {}",
                 to_string(*until));
  } else if (config_.auth.local_users && local_users_->count() == 0 && config_.auth.htpasswd_file.empty()) {
    spdlog::warn("there are no local users yet; on this machine: stele user add NAME --group {} --data {}",
                 auth::FirstAdministrator::group, config_.data);
  }
}

Result<void> Identities::flush() {
  if (!login_tokens_) return {};
  auto flushed = sync_wait(login_tokens_->flush());
  // Said once: the next one comes soon.
  if (!flushed && !std::exchange(flush_fails_, true))
    spdlog::error("when tokens were used cannot be written to the catalog: {}", flushed.error().message());
  if (flushed) flush_fails_ = false;
  return flushed;
}

// As the client reaches this server: what it is told stands in `external_url`, or in the request.
std::string Identities::base_url(const http::Exchange& http) const {
  if (!config_.external_url.empty()) return config_.external_url;
  const std::string_view host = http.request().header("Host");
  if (!is_host(host)) return {};
  const bool trusted =
      std::any_of(config_.trusted_proxies.begin(), config_.trusted_proxies.end(),
                  [&](const AddressRange& range) { return range.contains(http.peer().address); });
  const bool https = http.peer().tls || (trusted && http.request().header("X-Forwarded-Proto") == "https");
  return (https ? "https://" : "http://") + std::string(host);
}

auth::AuthenticatorSettings Identities::settings() {
  auth::AuthenticatorSettings settings;
  settings.for_this_machine_only = for_this_machine_only();
  settings.login = login();
  settings.clock = &clock_;
  settings.passwords = passwords_.get();
  settings.directory = directory_.get();
  settings.issuers = issuers_.get();
  settings.external = external_.get();
  settings.robots = &*robots_;
  settings.user_tokens = &*user_tokens_;
  settings.login_tokens = &*login_tokens_;
  settings.counts = &counts_;
  settings.tokens = tokens_.get();
  settings.keys = keys_.get();
  settings.client_address = [this](const http::Exchange& http) { return address_of(http); };
  return settings;
}

Result<void> Identities::open() {
  if (auto loaded = passwords_->load_first(); !loaded)
    return Error(loaded.error().code(), "auth.htpasswd.file: " + loaded.error().message());
  if (const auth::HtpasswdFile* const file = passwords_->file()) {
    in_force_ = file->users();
    if (in_force_->size() == 0) spdlog::warn("{} has no users", file->path());
  }
  if (auto read = read_keys(); !read) return read;
  warn_of_plain_directories(config_.ldap);
  if (keys_) return keys_->open();
  return {};
}

Result<void> Identities::renew() {
  Result<void> users;
  if (passwords_->file()) users = renew_users();
  if (auto issuers = renew_issuers(); users && !issuers) users = issuers;
  if (!keys_) return users;
  const auto keys = keys_->renew();
  if (keys && *keys) spdlog::info("the keys of tokens were renewed");
  if (!users) return users;
  if (!keys) return keys.error();
  return {};
}

void Identities::stop_asking() {
  if (issuers_) issuers_->stop();
}

Result<void> Identities::read_keys() {
  Result<void> read;
  if (issuers_) read = issuers_->renew();
  if (!external_) return read;
  auto of_external = external_->renew();
  return read ? of_external : read;
}

Result<void> Identities::renew_issuers() {
  auto renewed = read_keys();
  const std::string problem = renewed ? std::string() : renewed.error().message();
  const std::lock_guard lock(mutex_);
  if (!problem.empty() && said_of_issuers_ != problem)
    spdlog::error("the changed keys are not used, those before stay in force: {}", problem);
  said_of_issuers_ = problem;
  return renewed;
}

Result<void> Identities::renew_users() {
  auth::HtpasswdFile& file = *passwords_->file();
  const auto renewed = file.renew();
  const auto users = file.users();
  const std::lock_guard lock(mutex_);
  if (std::exchange(in_force_, users) != users) {
    spdlog::info("{} is in force: {} users", file.path(), users->size());
    said_.clear();
  }
  if (renewed) {
    said_.clear();
    return {};
  }
  if (said_ != renewed.error().message()) {
    said_ = renewed.error().message();
    spdlog::error("the changed users are not used, those before stay in force: {}", said_);
  }
  return renewed.error();
}

bool Identities::for_this_machine_only() const {
  return reaches_this_machine_only(config_);
}

api::ChallengeSettings Identities::challenge() const {
  api::ChallengeSettings settings;
  settings.passwords = login();
  if (tokens_) settings.service = tokens_->settings().service;
  if (external_ && !config_.external_tokens.realm.empty()) {
    settings.service = config_.external_tokens.audience;
    settings.realm = config_.external_tokens.realm;
  }
  settings.base = [this](const http::Exchange& http) { return base_url(http); };
  return settings;
}

}  // namespace stele
