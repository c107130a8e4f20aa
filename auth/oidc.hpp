#pragma once
// CI jobs and other programs that say who they are by an ID token (OpenID Connect): the issuers that are
// accepted, and who a token's bearer is.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "auth/issuer_keys.hpp"
#include "auth/oidc_settings.hpp"
#include "base/clock.hpp"
#include "base/identity.hpp"
#include "base/result.hpp"
#include "base/task.hpp"

namespace stele::http {
class Fetcher;
}

namespace stele::auth {

// Thread-safe.
class OidcIssuers {
 public:
  // `clock` tells the time of day, nobody sets `boot_clock`; both outlive it, and it outlives whoever waits
  // for identify().
  OidcIssuers(const std::vector<OidcSettings>& issuers, const Clock& clock, const Clock& boot_clock);
  ~OidcIssuers();

  // Reads the files of keys that are others. What is wrong with one; then its keys before stay in force.
  // Blocks.
  Result<void> renew();

  // Ends what is being asked of issuers, now and from now on: for a stop.
  void stop();

  // Whose token it is: principal "oidc:<name>:<sub>", the issuer and the claims. Nothing is asked of anybody
  // for a token whose issuer is not in the list, that is for somebody else, or not of this time.
  // unauthorized, saying why; unavailable when the issuer's keys cannot be had.
  Task<Result<Identity>> identify(std::string token);

  // Whether a token of this issuer with these claims would be accepted at present: for what was made from one
  // before. unauthorized.
  Result<void> accepts(const Identity&) const;

  // How long somebody of this issuer stays logged in, seconds; 0: not at all.
  std::int64_t session_seconds(std::string_view issuer) const;

 private:
  struct Issuer;
  Issuer* find(std::string_view issuer) const;

  const Clock& clock_;
  std::unique_ptr<http::Fetcher> fetcher_;  // null: all keys are in files
  std::vector<std::unique_ptr<Issuer>> issuers_;
};

}  // namespace stele::auth
