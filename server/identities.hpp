#pragma once
// What of the configuration says who somebody is: the section `auth` connected, and the watch over its files.

#include <memory>
#include <mutex>
#include <string>

#include "api/challenge.hpp"
#include "auth/authenticator.hpp"
#include "auth/passwords.hpp"
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

  // Reads again what has changed. Logs what comes of it, each problem once.
  Result<void> renew();

  // Somebody can log in.
  bool login() const { return passwords_ != nullptr; }
  // Tokens are made.
  bool tokens() const { return tokens_ != nullptr; }
  const auth::Authenticator& authenticator() const { return authenticator_; }
  api::ChallengeSettings challenge() const;

 private:
  auth::AuthenticatorSettings settings() const;
  std::string base_url(const http::Exchange&) const;
  Result<void> renew_users();

  const Config& config_;
  const std::unique_ptr<auth::Passwords> passwords_;  // null: nothing is configured
  const std::unique_ptr<auth::TokenKeys> keys_;       // null, like the next one: no tokens are made
  const std::unique_ptr<const auth::Tokens> tokens_;
  const auth::Authenticator authenticator_;
  std::mutex mutex_;
  std::string said_;  // the problem that was logged last
  std::shared_ptr<const auth::Htpasswd> in_force_;
};

}  // namespace stele
