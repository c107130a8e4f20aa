#include "auth/authenticator.hpp"

#include <utility>

#include "auth/api_token.hpp"
#include "auth/external_tokens.hpp"
#include "auth/id_token.hpp"
#include "auth/scopes.hpp"
#include "auth/wrong_login.hpp"

namespace stele::auth {
namespace {

constexpr std::string_view user_prefix = "user:";
constexpr std::string_view robot_prefix = "robot:";
constexpr std::string_view certificate_prefix = "cert:";
constexpr std::string_view job_prefix = "oidc:";

}  // namespace

Task<Result<Identity>> Authenticator::by_password(const http::Exchange& http, const Credentials& credentials,
                                                  Budget budget) const {
  if (is_api_token(credentials.secret)) co_return co_await by_api_token(credentials.user, credentials.secret);
  if (resembles_api_token(credentials.secret)) {
    const Result<Identity> refused = wrong_login();
    settings_.counts->count(LoginMethod::robot, refused);
    co_return refused;
  }
  if (settings_.issuers && looks_like_token(credentials.secret)) {
    if (!is_own(credentials.secret)) co_return co_await by_id_token(credentials.secret);
    auto job = co_await by_refresh_token(http, credentials.secret);
    // Those of users are no passwords: clients that keep one know what it is.
    if (job && job->issuer.empty()) co_return wrong_login();
    co_return job;
  }
  auto user = co_await by_user(http, credentials, budget);
  settings_.counts->count(LoginMethod::password, user);
  co_return user;
}

Task<Result<Identity>> Authenticator::by_api_token(std::optional<std::string> user,
                                                   std::string secret) const {
  auto holder = settings_.robots->holder_of(user, secret);
  Result<Identity> identity = wrong_login();
  if (!holder || std::holds_alternative<Identity>(*holder)) {
    if (holder) {
      identity = std::move(std::get<Identity>(*holder));
    } else {
      identity = holder.error();
    }
    settings_.counts->count(LoginMethod::robot, identity);
    co_return identity;
  }
  const auto& token = std::get<catalog::LoginToken>(*holder);
  if (const auto good = settings_.user_tokens->check(user, token)) {
    identity = co_await by_user_token(token);
  } else {
    identity = good.error();
  }
  settings_.counts->count(LoginMethod::api_token, identity);
  if (identity) settings_.login_tokens->note_use(identity->login);
  co_return identity;
}

// Its user as he is now.
Task<Result<Identity>> Authenticator::by_user_token(const catalog::LoginToken& token) const {
  Identity identity;
  auto now = co_await present_user(token.subject.substr(user_prefix.size()));
  if (!now && now.error().code() != Errc::unauthorized) co_return now.error();
  if (now) {
    identity.groups = std::move(now->groups);
    identity.fingerprint = std::move(now->fingerprint);
  }
  if (auto limited = settings_.user_tokens->limit(token, identity); !limited) co_return limited.error();
  identity.principal = Principal(token.subject);
  identity.method = Identity::Method::password;
  co_return identity;
}

bool Authenticator::is_own(const std::string& token) const {
  return settings_.tokens && issuer_in(token) == settings_.tokens->settings().service;
}

// There is nothing to guess in one, so that no attempt is counted against anybody.
Task<Result<Identity>> Authenticator::by_id_token(const std::string& token) const {
  if (!settings_.issuers)
    co_return Error(Errc::unauthorized, "this registry takes no ID tokens; they are set up in auth.oidc");
  auto job = co_await settings_.issuers->identify(token);
  settings_.counts->count(LoginMethod::id_token, job);
  co_return job;
}

Task<Result<Identity>> Authenticator::by_refresh_token(const http::Exchange& http,
                                                       const std::string& token) const {
  if (is_api_token(token)) co_return co_await by_api_token(std::nullopt, token);
  auto identity = co_await by_token(http, Tokens::Use::refresh, token);
  settings_.counts->count(LoginMethod::refresh_token, identity);
  if (!identity) co_return identity.error();
  settings_.login_tokens->note_use(identity->login);
  // It proves what the password proved.
  identity->method = Identity::Method::password;
  co_return identity;
}

Task<Result<Authenticator::Present>> Authenticator::present_user(const std::string& user) const {
  Present present;
  auto before = co_await settings_.passwords->find(user);
  if (!before) co_return before.error();
  if (*before) {
    // A name that is written otherwise in the token is not the one that it was made for.
    if ((*before)->disabled || (*before)->name != user) co_return wrong_login();
    present.fingerprint = std::move((*before)->fingerprint);
    present.groups = std::move((*before)->groups);
    co_return present;
  }
  if (!settings_.directory) co_return wrong_login();
  auto known = co_await settings_.directory->find(user);
  if (!known) co_return known.error();
  present.fingerprint = known->fingerprint();
  present.groups = std::move(known->groups);
  co_return present;
}

Task<Result<std::optional<Authenticator::KnownUser>>> Authenticator::known_user(std::string name) const {
  std::optional<KnownUser> known;
  if (!settings_.login) co_return known;
  auto before = co_await settings_.passwords->find(name);
  if (!before) co_return before.error();
  if (*before) {
    if (!(*before)->disabled) {
      known.emplace();
      known->name = std::move((*before)->name);
      known->groups = std::move((*before)->groups);
    }
    co_return known;
  }
  if (!settings_.directory) co_return known;
  auto user = co_await settings_.directory->find(name);
  if (!user && user.error().code() == Errc::unauthorized) co_return known;
  if (!user) co_return user.error();
  if (user->name != name) {
    // As for logging in: a source before the directory that has the name says who he is.
    const auto same = co_await settings_.passwords->find(user->name);
    if (!same) co_return same.error();
    if (*same) co_return known;
  }
  known.emplace();
  known->name = std::move(user->name);
  known->groups = std::move(user->groups);
  co_return known;
}

Result<std::optional<catalog::LoginToken>> Authenticator::standing_login(const TokenClaims& claims) const {
  std::optional<catalog::LoginToken> none;
  if (claims.login == 0) return none;
  auto standing = settings_.login_tokens->standing(claims.login, claims.subject);
  if (!standing || *standing) return standing;
  return token_not_accepted("it is revoked, or what it was made from is; log in again");
}

// Rules ask for what the ID token said; the configuration may ask for other things by now.
Result<Identity> Authenticator::of_job(const TokenClaims& claims) const {
  if (!settings_.issuers) return token_not_accepted("this registry takes no ID tokens any more");
  Identity identity;
  identity.issuer = claims.issuer;
  identity.claims = claims.claims;
  if (auto accepted = settings_.issuers->accepts(identity); !accepted) return accepted.error();
  // A session that was given for longer than is given now ends when one of now would.
  const std::int64_t longest = settings_.issuers->session_seconds(claims.issuer);
  if (claims.session_ends != 0 && claims.session_ends > settings_.tokens->now() + longest) {
    return token_not_accepted(
        "it belongs to a CI session that lasts longer than this registry "
        "lets one now; log in again with a new ID token");
  }
  if (const auto standing = standing_login(claims); !standing) return standing.error();
  identity.login = claims.login;
  return identity;
}

// Whether the user is still who he was when the token was made.
Task<Result<Identity>> Authenticator::of_user(const TokenClaims& claims) const {
  const std::string user(std::string_view(claims.subject).substr(user_prefix.size()));
  auto now = co_await present_user(user);
  if (!now && now.error().code() != Errc::unauthorized) co_return now.error();
  if (!now || now->fingerprint != claims.fingerprint) {
    co_return token_not_accepted("the user is gone, is disabled or has another password");
  }
  const auto standing = standing_login(claims);
  if (!standing) co_return standing.error();
  Identity identity;
  identity.login = claims.login;
  identity.groups = std::move(now->groups);
  identity.fingerprint = std::move(now->fingerprint);
  // One that was made from an api token reaches no further than that.
  if (*standing && !(*standing)->name.empty()) {
    if (auto limited = settings_.user_tokens->limit(**standing, identity); !limited)
      co_return limited.error();
  }
  co_return identity;
}

Task<Result<Identity>> Authenticator::by_token(const http::Exchange& http, Tokens::Use use,
                                               const std::string& token) const {
  auto claims = settings_.tokens->read(use, token);
  if (!claims) co_return claims.error();
  const std::string_view subject = claims->subject;
  Result<Identity> identity = Identity();
  if (subject.starts_with(user_prefix)) {
    identity = co_await of_user(*claims);
  } else if (subject.starts_with(robot_prefix)) {
    identity = settings_.robots->by_login(claims->login, claims->subject);
  } else if (subject.starts_with(job_prefix)) {
    identity = of_job(*claims);
  } else if (subject.starts_with(certificate_prefix)) {
    if (http.peer().certificate != subject.substr(certificate_prefix.size()))
      co_return token_not_accepted("it goes with a client certificate");
  }
  if (!identity) co_return identity.error();
  identity->principal = Principal(claims->subject);
  identity->method = Identity::Method::token;
  identity->expires_at = claims->expires_at;
  if (!scopes_leave_everything(claims->scopes)) identity->scopes = std::move(claims->scopes);
  co_return identity;
}

// The token server says who he is; that he is disabled here is for this registry to say.
Task<Result<Identity>> Authenticator::by_external_token(const std::string& token) const {
  auto identity = co_await settings_.external->identify(token);
  if (!identity) co_return identity.error();
  const std::string user = identity->principal.name().substr(user_prefix.size());
  const auto here = co_await settings_.passwords->find(user);
  if (!here) co_return here.error();
  if (*here && (*here)->disabled) co_return token_not_accepted("the user is disabled here");
  // Rules that name him as he is called here would not meet him.
  if (*here && (*here)->name != user)
    co_return token_not_accepted("its sub is the name of a user here in other letters");
  co_return identity;
}

Task<Result<void>> Authenticator::add_refresh_token(TokenClaims& claims, Made& made) const {
  made.refresh_seconds = settings_.tokens->settings().refresh_seconds;
  if (!claims.issuer.empty()) made.refresh_seconds = settings_.issuers->session_seconds(claims.issuer);
  if (made.refresh_seconds == 0) co_return Result<void>();
  const auto listed =
      co_await settings_.login_tokens->add_refresh_token(claims.subject, made.refresh_seconds);
  if (!listed) co_return Result<void>();
  claims.login = *listed;
  if (!claims.issuer.empty()) claims.session_ends = settings_.tokens->now() + made.refresh_seconds;
  auto token = settings_.tokens->make(Tokens::Use::refresh, claims);
  if (!token) co_return token.error();
  made.refresh_token = std::move(*token);
  co_return Result<void>();
}

Task<Result<Authenticator::Made>> Authenticator::make_tokens(const Identity& identity,
                                                             std::vector<std::string> scopes,
                                                             bool refresh) const {
  TokenClaims claims;
  claims.subject = identity.principal.name();
  claims.login = identity.login;
  const bool is_user = claims.subject.starts_with(user_prefix);
  if (is_user) {
    auto present = co_await present_user(claims.subject.substr(user_prefix.size()));
    if (!present) co_return present.error();  // gone at this moment
    // Nor is it his any more if he has another password, or is another one, since his was checked.
    if (present->fingerprint != identity.fingerprint) co_return wrong_login();
    claims.fingerprint = std::move(present->fingerprint);
  }
  claims.issuer = identity.issuer;
  claims.claims = identity.claims;
  // A session that somebody has kept until now does not get longer by it.
  const bool in_session = !claims.issuer.empty() && claims.login != 0;
  if (in_session) claims.session_ends = identity.expires_at.value_or(0);
  const bool is_job = !claims.issuer.empty() && !in_session;
  if (is_job) claims.expires_at = identity.expires_at.value_or(0);
  Made made;
  made.seconds = settings_.tokens->request_seconds(claims);
  // What has limits (a robot's secret, an api token) is itself what its holder keeps.
  if (refresh && !identity.limits && (is_user || is_job)) {
    auto added = co_await add_refresh_token(claims, made);
    if (!added) co_return added.error();
  }
  claims.scopes = std::move(scopes);
  auto token = settings_.tokens->make(Tokens::Use::request, claims);
  if (!token) co_return token.error();
  made.token = std::move(*token);
  co_return made;
}

Task<Result<Identity>> Authenticator::authenticate(const http::Exchange& http, Budget budget) const {
  if (certificate_is_over(http.peer())) {
    co_return Error(Errc::unauthorized, "the client certificate with which this connection began ended at " +
                                            to_string(Timestamp{*http.peer().certificate_ends * 1'000'000}) +
                                            "; connect again with one that holds");
  }
  Result<Identity> of_peer = of_connection(http.peer(), http.request());
  if (!settings_.login || of_peer->method == Identity::Method::socket) co_return of_peer;
  const auto credentials = presented_credentials(http.request());
  if (!credentials) co_return credentials.error();
  if (credentials->scheme == Credentials::Scheme::basic)
    co_return co_await by_password(http, *credentials, budget);
  if (credentials->scheme == Credentials::Scheme::bearer) {
    if (is_api_token(credentials->secret)) co_return co_await by_refresh_token(http, credentials->secret);
    if (settings_.external && settings_.external->is_its(credentials->secret))
      co_return co_await by_external_token(credentials->secret);
    if (settings_.issuers && looks_like_token(credentials->secret) && !is_own(credentials->secret))
      co_return co_await by_id_token(credentials->secret);
    if (settings_.tokens) co_return co_await by_token(http, Tokens::Use::request, credentials->secret);
    co_return Error(Errc::unauthorized, "this registry takes a user name and a password, and no tokens");
  }
  co_return of_peer;
}

}  // namespace stele::auth
