#pragma once
// GET and POST /token, where clients get tokens (the distribution project's token and OAuth 2 specifications,
// RFC 6749; RFC 8693 for ID tokens), and /token/keys, the public halves of the keys that sign them.

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "auth/access.hpp"
#include "auth/authenticator.hpp"
#include "auth/token_scope.hpp"
#include "base/reference.hpp"
#include "http/exchange.hpp"
#include "http/uri.hpp"

namespace stele::api {

// Thread-safe. The references outlive it.
class TokenHandler final : public http::Handler {
 public:
  // The mirror's repository that a name means, if there is one: the default mirror's, for a name that names
  // none.
  using Mirrored = std::function<std::optional<RepositoryName>(const RepositoryName&)>;

  // `mirrored` may be empty: nothing is mirrored.
  TokenHandler(const auth::Authenticator& authenticator, const auth::Access& access, Mirrored mirrored)
      : authenticator_(authenticator), access_(access), mirrored_(std::move(mirrored)) {}

  // True for the paths above.
  static bool serves(std::string_view path);

  Task<http::Response> handle(http::Exchange& http) override;
  // Whether it asks, by GET, for something that anybody may pull from a mirror: whoever sent a login that is
  // none here is then answered without it. dockerd sends a mirror the one that it has for Docker Hub.
  bool is_for_anybody(http::Exchange& http) const { return mirrored_wish(http).has_value(); }
  // A token for what anybody may pull of what is asked for of mirrors; empty: that is nothing.
  Task<std::optional<http::Response>> mirrored_for_anybody(http::Exchange& http);
  http::Response refuse(int status, std::string_view why) override;

 private:
  struct Wish {
    auth::AskedScope scope;
    bool refresh = false;  // a refresh token as well
  };
  Task<Result<http::Response>> answer(http::Exchange&);
  static Result<Wish> wish_of(http::Exchange&);
  std::optional<Wish> mirrored_wish(http::Exchange&) const;
  // What anybody may pull from mirrors, of what is asked for; none: nothing.
  std::optional<Wish> of_mirrors_for_anybody(const auth::AskedScope&) const;
  // By POST. Like a GET, one for what anybody may pull from a mirror is answered without a login that is none
  // here, and such logins have a budget of their own.
  Task<Result<http::Response>> by_password(http::Exchange&, const http::QueryParameters& form, Wish);
  Task<Result<http::Response>> by_form(http::Exchange&);
  Task<Result<http::Response>> grant(const Identity&, const Wish&);
  Task<Result<http::Response>> exchange(const http::QueryParameters&, const Wish&);
  auth::AskedScope granted(const Identity&, const auth::AskedScope&) const;

  const auth::Authenticator& authenticator_;
  const auth::Access& access_;
  const Mirrored mirrored_;
};

}  // namespace stele::api
