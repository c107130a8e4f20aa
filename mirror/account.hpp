#pragma once
// The account that a mirror has at its upstream, wherever its password comes from. Neither messages nor logs
// ever hold a password, a token or what a helper wrote.

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "http/fetcher.hpp"
#include "mirror/settings.hpp"
#include "mirror/single_flight.hpp"

namespace stele::mirror {

struct Login {
  std::string basic;                         // the value of Authorization, "Basic …"
  std::optional<std::chrono::seconds> life;  // from now; empty: until it is refused
};

// Where logins come from. Asked on the mirrors' thread, once at a time.
class LoginSource {
 public:
  LoginSource() = default;
  LoginSource(const LoginSource&) = delete;
  LoginSource& operator=(const LoginSource&) = delete;
  virtual ~LoginSource() = default;
  // unavailable: whoever gives them cannot be asked, refuses, or answers nonsense; the message says who it is
  // and what to look at.
  virtual Task<Result<Login>> login() = 0;
};

// Amazon's and Google's registries, and Docker's credential helpers. `host` is the upstream's own.
std::unique_ptr<LoginSource> ecr_login(http::Fetcher& fetcher, const Settings& settings, std::string host);
std::unique_ptr<LoginSource> google_login(http::Fetcher& fetcher, const Settings& settings);
std::unique_ptr<LoginSource> helper_login(const Settings& settings, std::string host);

// "Basic …" of a user and a password (RFC 7617).
std::string basic_authorization(std::string_view user, std::string_view password);
// RFC 4648, section 4.
std::string base64(std::string_view bytes);

// Thread-safe.
class Account {
 public:
  // A null source: there is no account. `thread` outlives it.
  Account(std::unique_ptr<LoginSource> source, MirrorThread& thread);

  bool exists() const { return source_ != nullptr; }
  // "Basic …", asked for when there is none yet or it has expired; empty without an account.
  Task<Result<std::string>> authorization();
  // Upstream took this one.
  void accepted(const std::string& authorization);
  // Upstream refused this one: whether another may do. One that was never accepted is not replaced, so that a
  // wrong account does not ask for a login with each request.
  bool replaceable(const std::string& authorization);

 private:
  Task<Result<std::string>> renew();

  const std::unique_ptr<LoginSource> source_;
  SingleFlight<std::string> flights_;
  std::mutex mutex_;
  std::string current_;
  bool accepted_ = false;
  std::optional<std::chrono::steady_clock::time_point> until_;
};

}  // namespace stele::mirror
