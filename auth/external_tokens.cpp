#include "auth/external_tokens.hpp"

#include <utility>

#include "auth/id_token.hpp"
#include "auth/wrong_login.hpp"
#include "base/printable.hpp"

namespace stele::auth {

ExternalTokens::ExternalTokens(ExternalTokenSettings settings, const Clock& clock, const Clock& boot_clock)
    : settings_(std::move(settings)), clock_(clock), keys_(settings_.jwks_file, boot_clock) {}

Result<void> ExternalTokens::renew() {
  const auto renewed = keys_.renew();
  if (!renewed)
    return Error(renewed.error().code(), "auth.external_tokens.jwks_file: " + renewed.error().message());
  return {};
}

bool ExternalTokens::is_its(const std::string& token) const {
  return looks_like_token(token) && issuer_in(token) == settings_.issuer;
}

Task<Result<Identity>> ExternalTokens::identify(std::string token) {
  auto said = IdToken::parse(token);
  if (!said) co_return said.error();
  if (said->issuer != settings_.issuer)
    co_return token_not_accepted("its issuer " + in_quotes(said->issuer) +
                                 " is not that of auth.external_tokens");
  const std::int64_t now = clock_.now().microseconds / 1'000'000;
  if (auto holds = said->holds(settings_.audience, now, settings_.leeway); !holds) co_return holds.error();
  const auto keys = co_await keys_.present();
  if (!keys) co_return keys.error();
  const auto outcome = keys->verify(said->algorithm, said->key, said->signed_text, said->signature);
  if (outcome == JsonWebKeys::Outcome::no_such_key)
    co_return token_not_accepted("the token server has no key " + in_quotes(said->key) + " for " +
                                 said->algorithm);
  if (outcome != JsonWebKeys::Outcome::verified)
    co_return token_not_accepted("its signature is not the token server's");
  auto scopes = said->read_access();
  if (!scopes) co_return scopes.error();
  Identity identity;
  identity.principal = Principal("user:" + said->subject);
  identity.method = Identity::Method::token;
  identity.scopes = std::move(*scopes);
  identity.expires_at = said->expires_at;
  co_return identity;
}

}  // namespace stele::auth
