#include <charconv>
#include <nlohmann/json.hpp>

#include "api/admin/admin_handler.hpp"
#include "api/admin/json.hpp"
#include "base/printable.hpp"
#include "config/quantity.hpp"
#include "http/uri.hpp"

namespace stele::api {
namespace {

constexpr std::int64_t largest_page = 1000;
constexpr std::chrono::seconds default_lifetime = std::chrono::hours(90 * 24);
// What can be reckoned with, and more than anybody means.
constexpr std::chrono::seconds longest_lifetime = std::chrono::hours(100 * 365 * 24);
constexpr std::chrono::seconds longest_overlap = std::chrono::hours(30 * 24);

// "90d", a moment (RFC 3339), or "never"; empty: ninety days.
Result<std::optional<Timestamp>> expiry_of(const std::string& text, Timestamp now) {
  if (text == "never") return std::optional<Timestamp>();
  const auto lifetime = text.empty() ? default_lifetime : config::parse_duration(text);
  if (lifetime) {
    if (lifetime->count() <= 0 || *lifetime > longest_lifetime)
      return Error(Errc::parameter_invalid, "expires must be between 1s and 36500d, not " + in_quotes(text));
    return std::optional<Timestamp>(now + lifetime->count() * 1'000'000);
  }
  const auto moment = parse_timestamp(text);
  if (moment) return std::optional<Timestamp>(*moment);
  return Error(Errc::parameter_invalid,
               "expires must be a whole number with m, h or d, as in 90d, a moment such as "
               "2027-01-31T00:00:00Z, or never, not " +
                   in_quotes(text, 40));
}

// "24h"; empty: not at all.
Result<std::int64_t> overlap_of(const std::string& text) {
  if (text.empty()) return 0;
  const auto overlap = config::parse_duration(text);
  if (overlap && overlap->count() > 0 && *overlap <= longest_overlap) return overlap->count();
  return Error(Errc::parameter_invalid,
               "overlap must be a whole number with s, m, h or d, as in 24h, and at most 30d, not " +
                   in_quotes(text, 40));
}

Json time_or_null(const std::optional<Timestamp>& time) {
  if (!time) return nullptr;
  return to_string(*time);
}

const char* state_of(const auth::Robot& robot) {
  if (!robot.token) return "revoked";
  return robot.expired ? "expired" : "active";
}

Json robot_json(const auth::Robot& robot) {
  return Json{{"name", robot.row.name},
              {"description", robot.row.description},
              {"state", state_of(robot)},
              {"scopes", robot.scopes()},
              {"expires_at", time_or_null(robot.row.expires_at)},
              {"created_at", to_string(robot.row.created_at)},
              {"created_by", robot.row.created_by},
              {"token", robot.token ? Json(robot.token->id) : Json(nullptr)},
              {"last_used_at", time_or_null(robot.token ? robot.token->last_used_at : std::nullopt)}};
}

// Nobody but who asked keeps a copy.
http::Response secret_response(const auth::RobotSecret& made, int status) {
  Json body = robot_json(made.robot);
  body["secret"] = text_or_null(made.secret);
  http::Response response = json_response(body, status);
  response.header("Cache-Control", "no-store");
  return response;
}

Result<std::vector<std::string>> scopes_of(const nlohmann::json& body) {
  std::vector<std::string> scopes;
  const auto member = body.find("scopes");
  if (member == body.end()) return scopes;
  if (!member->is_array())
    return Error(Errc::parameter_invalid, "scopes must be a list, as in [\"team/**:pull,push\"]");
  for (const auto& scope : *member) {
    if (!scope.is_string()) return Error(Errc::parameter_invalid, "a scope must be a text");
    scopes.push_back(scope.get<std::string>());
  }
  return scopes;
}

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
              {"last_used_at", time_or_null(token.last_used_at)}};
}

}  // namespace

// GET /api/v1/robots?n=…&after=…
AdminHandler::Answer AdminHandler::list_robots(http::Exchange& http, const AdminRoute&) {
  const auto limit = page_size(http.request().query, largest_page);
  if (!limit) co_return limit.error();
  const http::QueryParameters query(http.request().query);
  const auto robots = parts_.robots.list(std::string(query.first("after").value_or("")), *limit);
  if (!robots) co_return robots.error();
  Json list = Json::array();
  for (const auth::Robot& robot : *robots) list.push_back(robot_json(robot));
  Json body{{"robots", std::move(list)}, {"next", nullptr}};
  if (static_cast<std::int64_t>(robots->size()) == *limit) body["next"] = robots->back().row.name;
  co_return json_response(body);
}

// POST /api/v1/robots
AdminHandler::Answer AdminHandler::create_robot(http::Exchange& http, const AdminRoute&) {
  static constexpr std::string_view members[] = {"name", "description", "scopes", "expires"};
  const auto body = co_await read_json(http, members);
  if (!body) co_return body.error();
  if (!parts_.login) {
    co_return Error(Errc::parameter_invalid,
                    "robots cannot log in here, since nobody can: set auth.robots: on (or users: "
                    "auth.htpasswd.file, auth.ldap.url) "
                    "in the configuration and start the server again");
  }
  const auto name_text = required_line(*body, "name");
  if (!name_text) co_return name_text.error();
  auto name = auth::RobotName::parse(*name_text);
  if (!name) co_return name.error();
  auto description = line_member(*body, "description");
  if (!description) co_return description.error();
  auto scopes = scopes_of(*body);
  if (!scopes) co_return scopes.error();
  const auto expires = text_member(*body, "expires");
  if (!expires) co_return expires.error();
  const auto expires_at = expiry_of(*expires, parts_.registry.clock.now());
  if (!expires_at) co_return expires_at.error();
  auth::NewRobot asked{std::move(*name), std::move(*description), std::move(*scopes), *expires_at,
                       actor(http)};
  const auto made = co_await parts_.robots.create(std::move(asked));
  if (!made) co_return made.error();
  co_return secret_response(*made, 201);
}

// POST /api/v1/robots/<name>/renew
AdminHandler::Answer AdminHandler::renew_robot(http::Exchange& http, const AdminRoute& route) {
  static constexpr std::string_view members[] = {"expires", "secret", "overlap"};
  const auto body = co_await read_json(http, members);
  if (!body) co_return body.error();
  const auto expires = text_member(*body, "expires");
  if (!expires) co_return expires.error();
  const auto expires_at = expiry_of(*expires, parts_.registry.clock.now());
  if (!expires_at) co_return expires_at.error();
  const auto secret = text_member(*body, "secret");
  if (!secret) co_return secret.error();
  if (!secret->empty() && *secret != "new" && *secret != "keep")
    co_return Error(Errc::parameter_invalid, "secret must be new or keep, not " + in_quotes(*secret, 40));
  const auto overlap_text = text_member(*body, "overlap");
  if (!overlap_text) co_return overlap_text.error();
  const auto overlap = overlap_of(*overlap_text);
  if (!overlap) co_return overlap.error();
  const auto made =
      co_await parts_.robots.renew(*route.robot, *expires_at, *secret == "keep", actor(http), *overlap);
  if (!made) co_return made.error();
  co_return secret_response(*made, 200);
}

// POST /api/v1/robots/<name>/revoke
AdminHandler::Answer AdminHandler::revoke_robot(http::Exchange& http, const AdminRoute& route) {
  auto reason = co_await read_reason(http);
  if (!reason) co_return reason.error();
  const auto revoked = co_await parts_.robots.revoke(*route.robot, std::move(*reason), actor(http));
  if (!revoked) co_return revoked.error();
  const Json answer{{"name", route.robot->str()}, {"revoked", true}};
  co_return json_response(answer);
}

// DELETE /api/v1/robots/<name>
AdminHandler::Answer AdminHandler::remove_robot(http::Exchange& http, const AdminRoute& route) {
  auto reason = co_await read_reason(http);
  if (!reason) co_return reason.error();
  const auto removed = co_await parts_.robots.remove(*route.robot, std::move(*reason), actor(http));
  if (!removed) co_return removed.error();
  const Json answer{{"name", route.robot->str()}, {"removed", true}};
  co_return json_response(answer);
}

// GET /api/v1/tokens?subject=…&n=…&after=…
AdminHandler::Answer AdminHandler::list_tokens(http::Exchange& http, const AdminRoute&) {
  const auto limit = page_size(http.request().query, largest_page);
  if (!limit) co_return limit.error();
  const http::QueryParameters query(http.request().query);
  const auto after = id_after(query);
  if (!after) co_return after.error();
  const std::string subject(query.first("subject").value_or(""));
  const auto tokens = parts_.login_tokens.list(subject, *after, *limit);
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
      co_await parts_.login_tokens.revoke_all(std::move(*subject), std::move(*reason), actor(http));
  if (!revoked) co_return revoked.error();
  const Json answer{{"subject", whose}, {"revoked", *revoked}};
  co_return json_response(answer);
}

// DELETE /api/v1/tokens/<id>
AdminHandler::Answer AdminHandler::revoke_token(http::Exchange& http, const AdminRoute& route) {
  auto reason = co_await read_reason(http);
  if (!reason) co_return reason.error();
  const auto revoked = co_await parts_.login_tokens.revoke(route.id, std::move(*reason), actor(http));
  if (!revoked) co_return revoked.error();
  Json answer = token_json(*revoked);
  answer["revoked"] = true;
  co_return json_response(answer);
}

}  // namespace stele::api
