#include "auth/oidc.hpp"

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <utility>

#include "auth/id_token.hpp"
#include "auth/issuer_discovery.hpp"
#include "auth/wrong_login.hpp"
#include "base/printable.hpp"
#include "http/fetcher.hpp"
#include "policy/who.hpp"

namespace stele::auth {
namespace {

// What every token must say; nothing where all are accepted.
std::optional<policy::Who> required_of(const OidcSettings& settings) {
  if (settings.claims.empty()) return std::nullopt;
  auto who = policy::Who::oidc(settings.issuer, settings.claims);
  // The configuration's reader has seen to it.
  if (!who) throw std::invalid_argument(who.error().message());
  return std::move(*who);
}

Error unknown_issuer(const std::string& issuer) {
  return token_not_accepted("its issuer " + in_quotes(issuer) + " is not one of those in auth.oidc");
}

}  // namespace

struct OidcIssuers::Issuer {
  Issuer(const OidcSettings& from, const Clock& boot_clock)
      : settings(from), required(required_of(from)), keys(from.jwks_file, boot_clock) {}
  Issuer(const OidcSettings& from, const Clock& boot_clock, std::function<Task<Result<std::string>>()> ask)
      : settings(from), required(required_of(from)), keys(std::move(ask), boot_clock) {}

  const OidcSettings settings;
  const std::optional<policy::Who> required;
  IssuerKeys keys;
};

OidcIssuers::OidcIssuers(const std::vector<OidcSettings>& issuers, const Clock& clock,
                         const Clock& boot_clock)
    : clock_(clock) {
  for (const OidcSettings& settings : issuers) {
    const auto url = http::Url::parse(settings.issuer);
    if (!url) throw std::invalid_argument("no issuer: " + settings.issuer);
    if (!settings.jwks_file.empty()) {
      issuers_.push_back(std::make_unique<Issuer>(settings, boot_clock));
      continue;
    }
    if (!fetcher_) fetcher_ = std::make_unique<http::Fetcher>();
    IssuerPlace place{settings.issuer, *url, settings.ca, settings.proxy};
    auto ask = [fetcher = fetcher_.get(), place = std::move(place)] {
      return fetch_issuer_keys(*fetcher, place);
    };
    issuers_.push_back(std::make_unique<Issuer>(settings, boot_clock, std::move(ask)));
  }
}

OidcIssuers::~OidcIssuers() = default;

Result<void> OidcIssuers::renew() {
  Result<void> all;
  for (const auto& issuer : issuers_) {
    const auto renewed = issuer->keys.renew();
    if (!renewed) all = Error(renewed.error().code(), "auth.oidc: " + renewed.error().message());
  }
  return all;
}

void OidcIssuers::stop() {
  if (fetcher_) fetcher_->abort_all();
}

OidcIssuers::Issuer* OidcIssuers::find(std::string_view issuer) const {
  const auto found = std::find_if(issuers_.begin(), issuers_.end(),
                                  [&](const auto& one) { return one->settings.issuer == issuer; });
  return found == issuers_.end() ? nullptr : found->get();
}

Result<void> OidcIssuers::accepts(const Identity& identity) const {
  const Issuer* const issuer = find(identity.issuer);
  if (!issuer) return unknown_issuer(identity.issuer);
  if (issuer->required && !issuer->required->matches(identity)) {
    // Their names alone: whose tokens are accepted is for who is accepted to know.
    std::string wanted;
    for (const Claim& claim : issuer->settings.claims) wanted += (wanted.empty() ? "" : ", ") + claim.name;
    return token_not_accepted("this registry takes tokens of the issuer " + issuer->settings.name +
                              " only with certain values of " + wanted + " (claims in auth.oidc)");
  }
  return {};
}

std::int64_t OidcIssuers::session_seconds(std::string_view issuer) const {
  const Issuer* const found = find(issuer);
  return found ? found->settings.session.count() : 0;
}

Task<Result<Identity>> OidcIssuers::identify(std::string token) {
  auto said = IdToken::parse(token);
  if (!said) co_return said.error();
  Issuer* const known = find(said->issuer);
  if (!known) co_return unknown_issuer(said->issuer);
  Issuer& issuer = *known;
  const std::int64_t now = clock_.now().microseconds / 1'000'000;
  if (auto holds = said->holds(issuer.settings.audience, now, issuer.settings.leeway.count()); !holds)
    co_return holds.error();

  auto keys = co_await issuer.keys.present();
  if (!keys) co_return keys.error();
  using Outcome = JsonWebKeys::Outcome;
  Outcome outcome = keys->verify(said->algorithm, said->key, said->signed_text, said->signature);
  if (outcome == Outcome::no_such_key) {
    keys = co_await issuer.keys.other_than(*keys);
    if (!keys) co_return keys.error();
    outcome = keys->verify(said->algorithm, said->key, said->signed_text, said->signature);
  }
  if (outcome == Outcome::no_such_key) {
    co_return token_not_accepted("the issuer " + issuer.settings.name + " has no key " +
                                 in_quotes(said->key) + " for " + said->algorithm);
  }
  if (outcome != Outcome::verified)
    co_return token_not_accepted("its signature is not that of the issuer " + issuer.settings.name);
  // Not before: which claims are accepted is not for whoever can write a token to find out.
  if (auto read = said->read_claims(); !read) co_return read.error();
  Identity identity;
  identity.issuer = said->issuer;
  identity.claims = std::move(said->claims);
  if (auto accepted = accepts(identity); !accepted) co_return accepted.error();
  identity.principal = Principal("oidc:" + issuer.settings.name + ":" + said->subject);
  identity.method = Identity::Method::password;  // it proves as much
  identity.expires_at = said->expires_at;
  co_return identity;
}

}  // namespace stele::auth
