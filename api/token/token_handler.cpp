#include "api/token/token_handler.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "api/error_response.hpp"
#include "base/reference.hpp"

namespace stele::api {
namespace {

constexpr std::string_view token_path = "/token";
constexpr std::string_view keys_path = "/token/keys";
constexpr std::uint64_t max_form = 64 * 1024;
// RFC 8693, sections 2.1 and 3.
constexpr std::string_view exchange_grant = "urn:ietf:params:oauth:grant-type:token-exchange";
constexpr std::string_view id_token_type = "urn:ietf:params:oauth:token-type:id_token";
constexpr std::string_view jwt_type = "urn:ietf:params:oauth:token-type:jwt";
constexpr std::string_view access_token_type = "urn:ietf:params:oauth:token-type:access_token";
constexpr std::string_view refresh_token_type = "urn:ietf:params:oauth:token-type:refresh_token";

// In forms and in what many clients write into queries, + is a space (a real one is %2B).
std::string with_spaces(std::string_view text) {
  std::string spaced(text);
  std::replace(spaced.begin(), spaced.end(), '+', ' ');
  return spaced;
}

void add_scopes(const http::QueryParameters& parameters, auth::AskedScope& into) {
  for (const std::string_view value : parameters.all("scope")) into.add(value);
}

bool is_form(const http::RequestHead& request) {
  const std::string_view type = request.header("Content-Type");
  return http::equals_ignoring_case(type.substr(0, type.find(';')), "application/x-www-form-urlencoded");
}

Error not_supported(http::Exchange& http) {
  return Error(Errc::method_not_allowed,
               std::string(http.request().method_text.substr(0, 40)) + " is not supported here");
}

Error incomplete(const char* why) {
  return Error(Errc::parameter_invalid, why);
}

http::Response answered(const nlohmann::ordered_json& body) {
  http::Response response(200);
  response.body(body.dump(), "application/json");
  response.header("Cache-Control", "no-store");
  return response;
}

}  // namespace

bool TokenHandler::serves(std::string_view path) {
  return path == token_path || path == keys_path;
}

http::Response TokenHandler::refuse(int status, std::string_view why) {
  return error_response(status, why);
}

Task<http::Response> TokenHandler::handle(http::Exchange& http) {
  http.note.route = "token";
  auto answered = co_await answer(http);
  http::Response response(500);
  if (answered) {
    response = std::move(*answered);
  } else {
    http.note.error = answered.error().message();
    response = error_response(answered.error());
    if (response.status() == 405) response.header("Allow", "GET, POST");
  }
  co_return response;
}

Task<Result<http::Response>> TokenHandler::answer(http::Exchange& http) {
  const http::Method method = http.request().method;
  if (http.request().path == keys_path) {
    if (method != http::Method::get) co_return not_supported(http);
    http::Response response(200);
    response.body(authenticator_.public_keys(), "application/json");
    response.header("Cache-Control", "public, max-age=3600");
    co_return response;
  }
  if (method == http::Method::post) co_return co_await by_form(http);
  if (method != http::Method::get) co_return not_supported(http);
  const auto wish = wish_of(http);
  if (!wish) co_return wish.error();
  co_return co_await grant(http.identity(), *wish);
}

// Of a GET.
Result<TokenHandler::Wish> TokenHandler::wish_of(http::Exchange& http) {
  const std::string query = with_spaces(http.request().query);
  const http::QueryParameters parameters(query);
  if (parameters.malformed()) return incomplete("the query of the request is not properly percent-encoded");
  Wish wish;
  add_scopes(parameters, wish.scope);
  wish.refresh = parameters.first("offline_token") == "true";
  return wish;
}

std::optional<TokenHandler::Wish> TokenHandler::mirrored_wish(http::Exchange& http) const {
  if (http.request().path != token_path || http.request().method != http::Method::get) return std::nullopt;
  const auto asked = wish_of(http);
  if (!asked) return std::nullopt;
  return of_mirrors_for_anybody(asked->scope);
}

std::optional<TokenHandler::Wish> TokenHandler::of_mirrors_for_anybody(const auth::AskedScope& asked) const {
  if (!mirrored_) return std::nullopt;
  Wish mirrored;
  for (const auto& [name, actions] : asked.repositories) {
    const auto repository = RepositoryName::parse(name);
    const auto meant = repository ? mirrored_(*repository) : std::nullopt;
    if (meant && actions.contains("pull")) mirrored.scope.repositories[meant->str()].insert("pull");
  }
  const Identity anybody;
  if (granted(anybody, mirrored.scope).repositories.empty()) return std::nullopt;
  return mirrored;
}

Task<std::optional<http::Response>> TokenHandler::mirrored_for_anybody(http::Exchange& http) {
  std::optional<http::Response> none;
  const auto wish = mirrored_wish(http);
  if (!wish) co_return none;
  http.note.route = "token";
  const Identity anybody;
  auto made = co_await grant(anybody, *wish);
  if (!made) co_return none;
  co_return std::move(*made);
}

Task<Result<http::Response>> TokenHandler::by_form(http::Exchange& http) {
  if (!is_form(http.request()))
    co_return incomplete("the body must be a form: Content-Type application/x-www-form-urlencoded");
  auto body = co_await http.read_body(max_form);
  if (!body) co_return body.error();
  const std::string form = with_spaces(*body);
  const http::QueryParameters parameters(form);
  if (parameters.malformed()) co_return incomplete("the form is not properly percent-encoded");
  Wish wish;
  add_scopes(parameters, wish.scope);
  wish.refresh = parameters.first("access_type") == "offline";
  const auto type = parameters.first("grant_type");
  if (type == exchange_grant) co_return co_await exchange(parameters, wish);
  if (type == "password") co_return co_await by_password(http, parameters, std::move(wish));
  if (type != "refresh_token")
    co_return incomplete("grant_type must be password, refresh_token or that of a token exchange (RFC 8693)");
  const std::string token(parameters.first("refresh_token").value_or(""));
  const auto identity = co_await authenticator_.by_refresh_token(http, token);
  if (!identity) co_return identity.error();
  wish.refresh = false;  // the one that was sent goes on: docker keeps it
  co_return co_await grant(*identity, wish);
}

Task<Result<http::Response>> TokenHandler::by_password(http::Exchange& http,
                                                       const http::QueryParameters& form, Wish wish) {
  auth::Credentials credentials;
  credentials.scheme = auth::Credentials::Scheme::basic;
  credentials.user = form.first("username").value_or("");
  credentials.secret = form.first("password").value_or("");
  const auto for_anybody = of_mirrors_for_anybody(wish.scope);
  const auth::Budget budget = for_anybody ? auth::Budget::mirrored : auth::Budget::logins;
  const auto identity = co_await authenticator_.by_password(http, credentials, budget);
  if (identity) co_return co_await grant(*identity, wish);
  if (!for_anybody || is_store_failure(identity.error().code())) co_return identity.error();
  const Identity anybody;
  co_return co_await grant(anybody, *for_anybody);
}

// What is asked for and is allowed at present: one repository that is not leaves the others.
auth::AskedScope TokenHandler::granted(const Identity& identity, const auth::AskedScope& asked) const {
  using auth::Right;
  const std::pair<const char*, auth::Needs> rights[] = {{"pull", {Right::pull, "pulling"}},
                                                        {"push", {Right::push, "pushing"}},
                                                        {"delete", {Right::remove, "deleting"}}};
  auth::AskedScope granted;
  granted.catalog = asked.catalog;
  // Every right that rules give at present, over the server as well; who has said nothing keeps to a list.
  granted.everything = asked.everything && identity.principal != Principal::anonymous();
  for (const auto& [name, actions] : asked.repositories) {
    const auto repository = RepositoryName::parse(name);
    if (!repository) continue;
    const bool all = actions.contains("*");
    for (const auto& [action, needs] : rights) {
      const bool may =
          (all || actions.contains(action)) && access_.may(identity, needs, &*repository).has_value();
      if (may) granted.repositories[name].insert(action);
    }
    // Every right of the caller's: which ones is asked when they are used.
    if (all && granted.repositories.contains(name)) granted.repositories[name].insert("*");
    // dockerd asks for a token for library/demo, and then for library/demo of the default mirror.
    const auto elsewhere = mirrored_ ? mirrored_(*repository) : std::nullopt;
    if (elsewhere && (all || actions.contains("pull")) &&
        access_.may(identity, {Right::pull, "pulling"}, &*elsewhere).has_value())
      granted.repositories[elsewhere->str()].insert("pull");
  }
  return granted;
}

Task<Result<http::Response>> TokenHandler::grant(const Identity& identity, const Wish& wish) {
  if (identity.method == Identity::Method::token)
    co_return Error(Errc::unauthorized, "a token gets no other token; use the password, or a refresh token");
  const auth::AskedScope allowed = granted(identity, wish.scope);
  auto made = co_await authenticator_.make_tokens(identity, auth::to_scopes(allowed), wish.refresh);
  if (!made) co_return made.error();
  nlohmann::ordered_json body{
      {"token", made->token}, {"access_token", made->token}, {"expires_in", made->seconds}};
  // No issued_at: a client whose clock is wrong would reckon with it.
  if (!made->refresh_token.empty()) body["refresh_token"] = made->refresh_token;
  co_return answered(body);
}

// An ID token for a token of this registry's, or for what keeps a CI job logged in: that is then a refresh
// token, and a password beside any name.
Task<Result<http::Response>> TokenHandler::exchange(const http::QueryParameters& form, const Wish& wish) {
  const auto type = form.first("subject_token_type").value_or("");
  if (type != id_token_type && type != jwt_type) {
    co_return Error(Errc::parameter_invalid, "subject_token_type must be " + std::string(id_token_type) +
                                                 " or " + std::string(jwt_type));
  }
  if (form.first("actor_token")) co_return incomplete("nobody acts for somebody else here: no actor_token");
  const auto wanted = form.first("requested_token_type").value_or(access_token_type);
  if (wanted != access_token_type && wanted != refresh_token_type) {
    co_return Error(Errc::parameter_invalid, "requested_token_type must be " +
                                                 std::string(access_token_type) + " or " +
                                                 std::string(refresh_token_type));
  }
  const std::string token(form.first("subject_token").value_or(""));
  const auto identity = co_await authenticator_.by_id_token(token);
  if (!identity) co_return identity.error();
  const bool session = wanted == refresh_token_type;
  const auth::AskedScope allowed = granted(*identity, wish.scope);
  auto made =
      co_await authenticator_.make_tokens(*identity, auth::to_scopes(allowed), wish.refresh || session);
  if (!made) co_return made.error();
  if (session && made->refresh_token.empty()) {
    co_return Error(Errc::unavailable,
                    "no session can be begun: this issuer has none (session: 0), or the "
                    "catalog cannot be written at present");
  }
  nlohmann::ordered_json body{{"access_token", session ? made->refresh_token : made->token},
                              {"issued_token_type", wanted},
                              {"token_type", session ? "N_A" : "Bearer"},
                              {"expires_in", session ? made->refresh_seconds : made->seconds}};
  if (!session && !made->refresh_token.empty()) body["refresh_token"] = made->refresh_token;
  co_return answered(body);
}

}  // namespace stele::api
