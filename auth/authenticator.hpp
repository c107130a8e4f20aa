#pragma once
// Who is asking. Asked once per request, by the handler in front of all faces; the answer lives in the
// exchange.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "auth/directory_users.hpp"
#include "auth/login_counts.hpp"
#include "auth/login_tokens.hpp"
#include "auth/oidc.hpp"
#include "auth/passwords.hpp"
#include "auth/robots.hpp"
#include "auth/tokens.hpp"
#include "auth/user_tokens.hpp"
#include "base/identity.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "http/exchange.hpp"

namespace stele::auth {

class ExternalTokens;

struct AuthenticatorSettings {
  // The server was set up for nobody but this machine: it listens on loopback and nothing says that others
  // reach it (client certificates, a proxy, an address for clients).
  bool for_this_machine_only = false;
  // Somebody can log in. Otherwise what requests present in Authorization is not looked at.
  bool login = false;
  // Tells the time of day; outlives the authenticator. Null: certificates hold as long as their connections.
  const Clock* clock = nullptr;
  // All of them outlive the authenticator.
  DirectoryUsers* directory = nullptr;  // null: there is none; asked for those whom `passwords` does not know
  OidcIssuers* issuers = nullptr;       // null: no ID token is accepted
  ExternalTokens* external = nullptr;   // null: there is no other token server
  // All five, where somebody can log in.
  Passwords* passwords = nullptr;
  Robots* robots = nullptr;
  const UserTokens* user_tokens = nullptr;
  LoginTokens* login_tokens = nullptr;
  LoginCounts* counts = nullptr;
  // Both or none; outlive the authenticator. Without: no tokens are made, and none is accepted.
  const Tokens* tokens = nullptr;
  const TokenKeys* keys = nullptr;
  // The address of whoever asks, behind trusted proxies. Empty: the connection's.
  std::function<std::string(const http::Exchange&)> client_address = {};
};

// Immutable; thread-safe. Called on I/O threads.
class Authenticator {
 public:
  explicit Authenticator(AuthenticatorSettings settings) : settings_(settings) {}

  // Awaitable, since passwords are hashed on a pool and directories are asked over the network. unauthorized
  // when something was presented and does not hold; what Passwords::check() says besides. `budget`: of whose
  // failures a wrong password is one.
  Task<Result<Identity>> authenticate(const http::Exchange&, Budget budget = Budget::logins) const;

  // The client's certificate held when the connection began, and holds no longer: nothing more goes over it.
  bool certificate_is_over(const http::Peer&) const;

  // From the connection and the head of the request alone.
  Identity of_connection(const http::Peer&, const http::RequestHead&) const;

  // What the steps of authenticate() are, for /token, where the secret may stand in a form. Only where
  // somebody can log in. A robot's secret and a user's api token are a password beside the name of whose they
  // are, and a refresh token, too. An ID token, and what keeps the session of a CI job, is a password beside
  // any name.
  Task<Result<Identity>> by_password(const http::Exchange&, const Credentials&,
                                     Budget budget = Budget::logins) const;
  Task<Result<Identity>> by_refresh_token(const http::Exchange&, const std::string& token) const;
  // For an exchange (RFC 8693): an ID token, and nothing else.
  Task<Result<Identity>> by_id_token(const std::string& token) const;

  struct Made {
    std::string token;
    std::string refresh_token;         // empty: none was asked for, or none is made for this one: for a robot
    std::int64_t seconds = 0;          // that `token` holds
    std::int64_t refresh_seconds = 0;  // that `refresh_token` does
  };
  // Only where there are tokens.
  Task<Result<Made>> make_tokens(const Identity&, std::vector<std::string> scopes, bool refresh) const;
  std::string public_keys() const { return settings_.keys->public_set(); }

  // For who explains access, without a password: the user of this name as rules know him now, by the source
  // that he logs in by. Null: nobody of this name logs in. unavailable: the directory cannot be asked.
  struct KnownUser {
    std::string name;
    std::vector<std::string> groups;
  };
  Task<Result<std::optional<KnownUser>>> known_user(std::string name) const;

 private:
  // user_sources.cpp
  Task<Result<Identity>> by_user(const http::Exchange&, const Credentials&, Budget) const;
  Task<Result<bool>> stands_before_directory(const std::string& user) const;
  Task<Result<Identity>> by_directory_alone(const Credentials&, const std::string& address, Budget) const;
  Task<Result<Identity>> by_directory(const Credentials&, const std::string& address, Budget) const;
  // A robot's secret, or an api token of a user. `user`: the name beside it; none: there was no place for
  // one.
  Task<Result<Identity>> by_api_token(std::optional<std::string> user, std::string secret) const;
  Task<Result<Identity>> by_user_token(const catalog::LoginToken&) const;
  // Of this registry's own making, by what it says of itself.
  bool is_own(const std::string& token) const;
  Result<Identity> of_job(const TokenClaims&) const;
  // Whether what the token was made from still stands.
  Result<std::optional<catalog::LoginToken>> standing_login(const TokenClaims&) const;
  // Lists a refresh token and makes it. Where it cannot be listed, none is given: clients then keep the
  // password, and pulls go on.
  Task<Result<void>> add_refresh_token(TokenClaims& claims, Made& made) const;
  struct Present {
    std::string fingerprint;  // changes when the user is another one, or has another password in the file
    std::vector<std::string> groups;
  };
  // Who the user is now. unauthorized: gone.
  Task<Result<Present>> present_user(const std::string& user) const;
  Task<Result<Identity>> of_user(const TokenClaims&) const;
  Task<Result<Identity>> by_external_token(const std::string& token) const;
  Task<Result<Identity>> by_token(const http::Exchange&, Tokens::Use, const std::string& token) const;

  const AuthenticatorSettings settings_;
};

// True when the request says that it came through a proxy (Forwarded, RFC 7239; Via, RFC 9110 7.6.3;
// X-Forwarded-*; X-Real-IP): the address of its connection is then not the address of whoever asks.
bool came_through_proxy(const http::RequestHead&);

}  // namespace stele::auth
