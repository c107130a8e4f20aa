#pragma once
// What of the configuration says who somebody is: the section `auth` connected, and the watch over its files.

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "api/challenge.hpp"
#include "api/rate_limits.hpp"
#include "auth/authenticator.hpp"
#include "auth/directory_users.hpp"
#include "auth/external_tokens.hpp"
#include "auth/first_administrator.hpp"
#include "auth/local_users.hpp"
#include "auth/login_counts.hpp"
#include "auth/login_tokens.hpp"
#include "auth/oidc.hpp"
#include "auth/passwords.hpp"
#include "auth/robots.hpp"
#include "auth/user_tokens.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/thread_pool.hpp"
#include "server/config/config.hpp"

namespace stele {

// Thread-safe after open().
class Identities {
 public:
  // All of it outlives this; nobody sets `boot_clock`, `clock` tells the time of day.
  Identities(const Config& config, const Clock& boot_clock, const Clock& clock, ThreadPool& disk);

  // What cannot be used: then nothing is served. The data directory is there and ours.
  Result<void> open();

  // Robots and refresh tokens are in the catalog. Once, before anybody asks; both outlive this.
  void attach(sql::Database& database, sql::Writer& writer);

  // Reads again what has changed. Logs what comes of it, each problem once.
  Result<void> renew();

  // Ends what is being asked of issuers of ID tokens: somebody may wait for it.
  void stop_asking();

  // Writes down when tokens were used; to be called before the catalog's writer goes, too.
  Result<void> flush();

  // Somebody can log in.
  // The server was set up for nobody but this machine, where it then asks nobody who he is.
  bool for_this_machine_only() const;
  bool login() const { return config_.login(); }
  // Tokens are made.
  bool tokens() const { return tokens_ != nullptr; }
  auth::Passwords& passwords() { return *passwords_; }
  const auth::FirstAdministrator& first_administrator() const { return first_administrator_; }
  // These after attach().
  auth::LocalUsers& local_users() { return *local_users_; }
  const auth::Authenticator& authenticator() const { return *authenticator_; }
  auth::Robots& robots() { return *robots_; }
  auth::LoginTokens& login_tokens() { return *login_tokens_; }
  auth::UserTokens& user_tokens() { return *user_tokens_; }
  const auth::LoginCounts& counts() const { return counts_; }
  api::ChallengeSettings challenge() const;
  // For limits of bytes: a request is over.
  void count_bytes(const http::RequestSummary&);
  // Null: nothing is limited.
  api::RequestLimits* request_limits() { return request_limits_ ? &*request_limits_ : nullptr; }

 private:
  auth::AuthenticatorSettings settings();
  std::string base_url(const http::Exchange&) const;
  std::string address_of(const http::Exchange&) const;
  Result<void> renew_users();
  void say_who_can_begin() const;
  Result<void> renew_issuers();
  Result<void> read_keys();

  const Config& config_;
  const Clock& clock_;
  const auth::FirstAdministrator first_administrator_;
  const std::unique_ptr<auth::Passwords> passwords_;
  const std::unique_ptr<auth::DirectoryUsers> directory_;  // null: nothing is configured
  const std::unique_ptr<auth::OidcIssuers> issuers_;       // null: nothing is configured
  const std::unique_ptr<auth::ExternalTokens> external_;   // null: nothing is configured
  const std::unique_ptr<auth::TokenKeys> keys_;            // null, like the next one: no tokens are made
  const std::unique_ptr<const auth::Tokens> tokens_;
  auth::LoginCounts counts_;
  std::optional<auth::LoginTokens> login_tokens_;
  std::optional<auth::Robots> robots_;
  std::optional<auth::UserTokens> user_tokens_;
  std::optional<auth::LocalUsers> local_users_;
  std::optional<const auth::Authenticator> authenticator_;
  api::RateLimit principal_requests_, principal_bytes_, address_requests_, address_bytes_;
  std::optional<api::RequestLimits> request_limits_;
  bool flush_fails_ = false;
  std::mutex mutex_;
  std::string said_;             // the problem that was logged last
  std::string said_of_issuers_;  // the same
  std::shared_ptr<const auth::Htpasswd> in_force_;
};

}  // namespace stele
