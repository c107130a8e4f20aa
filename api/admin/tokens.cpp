#include <charconv>
#include <nlohmann/json.hpp>

#include "api/admin/admin_handler.hpp"
#include "api/admin/json.hpp"
#include "api/admin/secrets.hpp"
#include "http/uri.hpp"

namespace stele::api {
namespace {

constexpr std::int64_t largest_token_page = 1000;

Result<std::int64_t> id_after(const http::QueryParameters& query) {
  std::int64_t after = 0;
  const auto text = query.first("after");
  if (!text) return after;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), after);
  if (error != std::errc() || end != text->data() + text->size() || after < 0)
    return Error(Errc::parameter_invalid, "after= must be the next of an earlier page");
  return after;
}

Json token_json(const catalog::LoginToken& token) {
  return Json{{"id", token.id},
              {"kind", token.kind},
              {"subject", token.subject},
              {"created_at", to_string(token.created_at)},
              {"expires_at", time_or_null(token.expires_at)},
              {"last_used_at", time_or_null(token.last_used_at)},
              {"name", text_or_null(token.name)},
              {"scopes", auth::scopes_of_lines(token.scopes)}};
}

}  // namespace

// GET /api/v1/tokens?subject=…&n=…&after=…
AdminHandler::Answer AdminHandler::list_tokens(http::Exchange& http, const AdminRoute&) {
  const auto limit = page_size(http.request().query, largest_token_page);
  if (!limit) co_return limit.error();
  const http::QueryParameters query(http.request().query);
  const auto after = id_after(query);
  if (!after) co_return after.error();
  const std::string subject(query.first("subject").value_or(""));
  const auto tokens = context_.login_tokens.list(subject, *after, *limit);
  if (!tokens) co_return tokens.error();
  Json list = Json::array();
  for (const catalog::LoginToken& token : *tokens) list.push_back(token_json(token));
  Json body{{"tokens", std::move(list)}, {"next", nullptr}};
  if (static_cast<std::int64_t>(tokens->size()) == *limit) body["next"] = tokens->back().id;
  co_return json_response(body);
}

// POST /api/v1/tokens/revoke
AdminHandler::Answer AdminHandler::revoke_tokens(http::Exchange& http, const AdminRoute&) {
  static constexpr std::string_view members[] = {"subject", "reason"};
  const auto body = co_await read_json(http, members);
  if (!body) co_return body.error();
  auto subject = required_line(*body, "subject");
  if (!subject) co_return subject.error();
  auto reason = line_member(*body, "reason");
  if (!reason) co_return reason.error();
  const std::string whose = *subject;
  const auto revoked =
      co_await context_.login_tokens.revoke_all(std::move(*subject), std::move(*reason), actor(http));
  if (!revoked) co_return revoked.error();
  const Json answer{{"subject", whose}, {"revoked", *revoked}};
  co_return json_response(answer);
}

// DELETE /api/v1/tokens/<id>
AdminHandler::Answer AdminHandler::revoke_token(http::Exchange& http, const AdminRoute& route) {
  auto reason = co_await read_reason(http);
  if (!reason) co_return reason.error();
  const auto revoked = co_await context_.login_tokens.revoke(route.id, std::move(*reason), actor(http));
  if (!revoked) co_return revoked.error();
  Json answer = token_json(*revoked);
  answer["revoked"] = true;
  co_return json_response(answer);
}

// --- one's own, without a right: they reach no further than who makes them

// GET /api/v1/account/tokens
AdminHandler::Answer AdminHandler::list_own_tokens(http::Exchange& http, const AdminRoute&) {
  const auto tokens = context_.user_tokens.list(http.identity());
  if (!tokens) co_return tokens.error();
  Json list = Json::array();
  for (const auth::UserTokens::Listed& one : *tokens) {
    Json token = token_json(one.token);
    token["state"] = one.expired ? "expired" : one.password_changed ? "password changed" : "active";
    list.push_back(std::move(token));
  }
  const Json body{{"tokens", std::move(list)}};
  co_return json_response(body);
}

// POST /api/v1/account/tokens
AdminHandler::Answer AdminHandler::create_own_token(http::Exchange& http, const AdminRoute&) {
  if (auto his = auth::UserTokens::may_make(http.identity()); !his) co_return his.error();
  static constexpr std::string_view members[] = {"name", "scopes", "expires"};
  const auto body = co_await read_json(http, members);
  if (!body) co_return body.error();
  auth::NewUserToken asked;
  auto name = required_line(*body, "name");
  if (!name) co_return name.error();
  asked.name = std::move(*name);
  auto scopes = scopes_of(*body);
  if (!scopes) co_return scopes.error();
  asked.scopes = std::move(*scopes);
  const auto expires = text_member(*body, "expires");
  if (!expires) co_return expires.error();
  const auto expires_at = expiry_of(*expires, context_.clock.now());
  if (!expires_at) co_return expires_at.error();
  asked.expires_at = *expires_at;
  asked.actor = actor(http);
  const auto made = co_await context_.user_tokens.create(http.identity(), std::move(asked));
  if (!made) co_return made.error();
  Json answer = token_json(made->token);
  answer["secret"] = made->secret;
  http::Response response = json_response(answer, 201);
  response.header("Cache-Control", "no-store");  // nobody but who asked keeps a copy
  co_return response;
}

// DELETE /api/v1/account/tokens/<id>
AdminHandler::Answer AdminHandler::revoke_own_token(http::Exchange& http, const AdminRoute& route) {
  auto reason = co_await read_reason(http);
  if (!reason) co_return reason.error();
  const auto revoked =
      co_await context_.user_tokens.revoke(http.identity(), route.id, std::move(*reason), actor(http));
  if (!revoked) co_return revoked.error();
  Json answer = token_json(*revoked);
  answer["revoked"] = true;
  co_return json_response(answer);
}

}  // namespace stele::api
