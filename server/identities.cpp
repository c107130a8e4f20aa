#include "server/identities.hpp"

#include <spdlog/spdlog.h>

#include <utility>

#include "server/front_handler.hpp"

namespace stele {
namespace {

std::unique_ptr<auth::Passwords> passwords_of(const Config& config, const Clock& clock, ThreadPool& disk) {
  if (config.auth.htpasswd_file.empty()) return nullptr;
  auth::PasswordSettings settings;
  settings.file = config.auth.htpasswd_file;
  return std::make_unique<auth::Passwords>(std::move(settings), clock, disk);
}

// Loopback alone is no right: a proxy brings the whole network there. And where there are users, nobody is
// let in for coming from this machine.
bool for_this_machine_only(const Config& config) {
  return config.listen.is_loopback() && config.tls.client_ca.empty() && config.trusted_proxies.empty() &&
         config.external_url.empty() && config.auth.htpasswd_file.empty();
}

}  // namespace

Identities::Identities(const Config& config, const Clock& clock, ThreadPool& disk)
    : config_(config), passwords_(passwords_of(config, clock, disk)), authenticator_(settings()) {}

auth::AuthenticatorSettings Identities::settings() const {
  auth::AuthenticatorSettings settings;
  settings.for_this_machine_only = for_this_machine_only(config_);
  settings.passwords = passwords_.get();
  settings.client_address = [this](const http::Exchange& http) {
    const std::string forwarded = http.request().joined_header("X-Forwarded-For");
    return client_address(http.peer().address, forwarded, config_.trusted_proxies);
  };
  return settings;
}

Result<void> Identities::open() {
  if (!passwords_) return {};
  if (auto loaded = passwords_->load_first(); !loaded)
    return Error(loaded.error().code(), "auth.htpasswd.file: " + loaded.error().message());
  in_force_ = passwords_->file().users();
  if (in_force_->size() == 0) spdlog::warn("{} has no users: nobody can log in", passwords_->file().path());
  return {};
}

Result<void> Identities::renew() {
  if (!passwords_) return {};
  const auto renewed = passwords_->file().renew();
  const auto users = passwords_->file().users();
  const std::lock_guard lock(mutex_);
  if (std::exchange(in_force_, users) != users) {
    spdlog::info("{} is in force: {} users", passwords_->file().path(), users->size());
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

api::ChallengeSettings Identities::challenge() const {
  api::ChallengeSettings settings;
  settings.passwords = login();
  return settings;
}

}  // namespace stele
