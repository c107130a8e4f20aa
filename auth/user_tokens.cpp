#include "auth/user_tokens.hpp"

#include <utility>

#include "auth/api_token.hpp"
#include "auth/wrong_login.hpp"
#include "base/digest.hpp"
#include "base/printable.hpp"
#include "http/message.hpp"
#include "policy/limits.hpp"

namespace stele::auth {
namespace {

constexpr std::string_view subject_prefix = "user:";

// Fingerprints are of bytes, and more of the user than the catalog needs.
std::string kept(const std::string& fingerprint) {
  return Digest::of(DigestAlgorithm::sha256, fingerprint).str();
}

// The record of an event is read by people, and may be made again and again.
std::string recorded(const std::vector<std::string>& scopes) {
  constexpr std::size_t most_recorded = 10;
  if (scopes.size() <= most_recorded) return joined_scopes(scopes, "; ");
  return joined_scopes({scopes.begin(), scopes.begin() + most_recorded}, "; ") + "; and " +
         std::to_string(scopes.size() - most_recorded) + " more";
}

}  // namespace

// A token makes no tokens: whoever finds one could keep himself in by it, beyond its end and its scopes.
Result<void> UserTokens::are_for(const Identity& identity) {
  const bool user = identity.principal.name().starts_with(subject_prefix) && !identity.fingerprint.empty();
  if (user && !identity.limits && identity.scopes.empty()) return {};
  return Error(Errc::forbidden,
               std::string("api tokens are for who logs in with a password of this registry, which ") +
                   identity.principal.name() +
                   (user ? " did not: an api token, or a token for something else, makes none"
                         : " does not; robots have their secret, CI jobs their ID token"));
}

Result<void> UserTokens::check(std::optional<std::string_view> user, const catalog::LoginToken& token) const {
  if (token.name.empty() || !token.subject.starts_with(subject_prefix)) return wrong_login();
  const std::string_view name = std::string_view(token.subject).substr(subject_prefix.size());
  if (user && !http::equals_ignoring_case(*user, name)) return wrong_login();
  if (!is_over(token.expires_at, clock_.now())) return {};
  return Error(Errc::unauthorized, "the token " + in_quotes(token.name) + " of " + std::string(name) +
                                       " expired on " + to_string(*token.expires_at).substr(0, 10) +
                                       "; make another: stele token create")
      .with("reason", "TOKEN_EXPIRED")
      .with("expired_at", to_string(*token.expires_at));
}

Result<void> UserTokens::limit(const catalog::LoginToken& token, Identity& of_user) const {
  if (kept(of_user.fingerprint) != token.fingerprint) {
    return token_not_accepted("the user is gone, is disabled or has another password");
  }
  auto limits = limits_.of(token.scopes);
  if (!limits) return limits.error();
  of_user.limits = std::move(*limits);
  of_user.login = token.id;
  if (token.expires_at) of_user.expires_at = token.expires_at->microseconds / 1'000'000;
  return {};
}

Result<void> UserTokens::may_make(const Identity& identity) {
  if (auto user = are_for(identity); !user) return user;
  if (identity.method == Identity::Method::password && identity.login == 0) return {};
  return Error(Errc::forbidden,
               "making an api token takes the password itself, not a token that was made from it; "
               "stele token create asks for it");
}

Task<Result<UserTokens::Made>> UserTokens::create(Identity identity, NewUserToken asked) {
  if (auto user = may_make(identity); !user) co_return user.error();
  if (const auto read = policy::read_limits(asked.scopes); !read) co_return read.error();
  if (asked.name.size() > longest_name) {
    co_return Error(Errc::parameter_invalid,
                    "a token's name has at most " + std::to_string(longest_name) + " bytes");
  }
  if (is_over(asked.expires_at, clock_.now())) {
    co_return Error(Errc::parameter_invalid,
                    "expires must be later than now, not " + to_string(*asked.expires_at));
  }
  const std::string subject = identity.principal.name();
  const std::string secret = make_api_token();
  auto pending = writer_.write({"logins:" + subject}, [&](sql::Tx& tx) -> Result<Made> {
    const Timestamp now = clock_.now();
    const std::string fingerprint = kept(identity.fingerprint);
    for (const catalog::LoginToken& token : catalog::list_named_tokens(tx, subject, most)) {
      if (is_over(token.expires_at, now) || token.fingerprint != fingerprint)
        catalog::delete_login_token(tx, token.id);
    }
    if (catalog::find_named_token(tx, subject, asked.name)) {
      return Error(Errc::parameter_invalid, "you have a token " + in_quotes(asked.name) +
                                                " already; choose another name, or revoke that one first");
    }
    if (static_cast<std::int64_t>(catalog::list_named_tokens(tx, subject, most).size()) >= most) {
      return Error(
          Errc::too_many_requests,
          "you have " + std::to_string(most) + " tokens, and nobody has more; revoke one that is not needed");
    }
    catalog::LoginToken token{0, "api", subject, now, asked.expires_at, {}};
    token.name = asked.name;
    token.scopes = joined_scopes(asked.scopes, "\n");
    token.fingerprint = fingerprint;
    token.id = catalog::insert_login_token(tx, token, api_token_hash(secret));
    const std::string until = token.expires_at ? "until " + to_string(*token.expires_at) : "without an end";
    audit::append(tx,
                  audit::Event{"token.create",
                               {},
                               {},
                               std::nullopt,
                               std::nullopt,
                               subject,
                               std::to_string(token.id) + " " + in_quotes(token.name) + " " + until + "; " +
                                   recorded(asked.scopes)},
                  asked.actor, now);
    return Made{std::move(token), secret};
  });
  co_return co_await pending;
}

Result<std::vector<UserTokens::Listed>> UserTokens::list(const Identity& identity) const {
  if (auto user = are_for(identity); !user) return user.error();
  const Timestamp now = clock_.now();
  const std::string fingerprint = kept(identity.fingerprint);
  return database_.read([&](sql::Session& session) -> Result<std::vector<Listed>> {
    std::vector<Listed> listed;
    for (catalog::LoginToken& token : catalog::list_named_tokens(session, identity.principal.name(), most)) {
      const bool expired = is_over(token.expires_at, now), other = token.fingerprint != fingerprint;
      listed.push_back({std::move(token), expired, other});
    }
    return listed;
  });
}

Task<Result<catalog::LoginToken>> UserTokens::revoke(Identity identity, std::int64_t id, std::string reason,
                                                     audit::Actor actor) {
  if (auto user = are_for(identity); !user) co_return user.error();
  const std::string subject = identity.principal.name();
  auto pending =
      writer_.write({"login:" + std::to_string(id)}, [&](sql::Tx& tx) -> Result<catalog::LoginToken> {
        auto token = catalog::find_login_token(tx, id);
        if (!token || token->subject != subject || token->name.empty()) {
          return Error(Errc::not_found, "you have no token " + std::to_string(id) +
                                            "; it may have expired, or been revoked before");
        }
        catalog::delete_login_token(tx, id);
        record_revocation(tx, *token, reason, actor, clock_.now());
        return std::move(*token);
      });
  co_return co_await pending;
}

}  // namespace stele::auth
