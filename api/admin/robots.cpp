#include <chrono>
#include <nlohmann/json.hpp>

#include "api/admin/admin_handler.hpp"
#include "api/admin/json.hpp"
#include "api/admin/secrets.hpp"
#include "base/printable.hpp"
#include "config/quantity.hpp"
#include "http/uri.hpp"

namespace stele::api {
namespace {

constexpr std::int64_t largest_robot_page = 1000;
constexpr std::chrono::seconds longest_overlap = std::chrono::hours(30 * 24);

// "24h"; empty: not at all.
Result<std::int64_t> overlap_of(const std::string& text) {
  if (text.empty()) return 0;
  const auto overlap = config::parse_duration(text);
  if (overlap && overlap->count() > 0 && *overlap <= longest_overlap) return overlap->count();
  return Error(Errc::parameter_invalid,
               "overlap must be a whole number with s, m, h or d, as in 24h, and at most 30d, not " +
                   in_quotes(text, 40));
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
              {"secret_ends_at", time_or_null(robot.token ? robot.token->expires_at : std::nullopt)},
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

}  // namespace

// GET /api/v1/robots?n=…&after=…
AdminHandler::Answer AdminHandler::list_robots(http::Exchange& http, const AdminRoute&) {
  const auto limit = page_size(http.request().query, largest_robot_page);
  if (!limit) co_return limit.error();
  const http::QueryParameters query(http.request().query);
  const auto robots = context_.robots.list(std::string(query.first("after").value_or("")), *limit);
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
  if (!context_.login) {
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
  const auto expires_at = expiry_of(*expires, context_.clock.now());
  if (!expires_at) co_return expires_at.error();
  auth::NewRobot asked{std::move(*name), std::move(*description), std::move(*scopes), *expires_at,
                       actor(http)};
  const auto made = co_await context_.robots.create(std::move(asked));
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
  const auto expires_at = expiry_of(*expires, context_.clock.now());
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
      co_await context_.robots.renew(*route.robot, *expires_at, *secret == "keep", actor(http), *overlap);
  if (!made) co_return made.error();
  co_return secret_response(*made, 200);
}

// POST /api/v1/robots/<name>/revoke
AdminHandler::Answer AdminHandler::revoke_robot(http::Exchange& http, const AdminRoute& route) {
  auto reason = co_await read_reason(http);
  if (!reason) co_return reason.error();
  const auto revoked = co_await context_.robots.revoke(*route.robot, std::move(*reason), actor(http));
  if (!revoked) co_return revoked.error();
  const Json answer{{"name", route.robot->str()}, {"revoked", true}};
  co_return json_response(answer);
}

// DELETE /api/v1/robots/<name>
AdminHandler::Answer AdminHandler::remove_robot(http::Exchange& http, const AdminRoute& route) {
  auto reason = co_await read_reason(http);
  if (!reason) co_return reason.error();
  const auto removed = co_await context_.robots.remove(*route.robot, std::move(*reason), actor(http));
  if (!removed) co_return removed.error();
  const Json answer{{"name", route.robot->str()}, {"removed", true}};
  co_return json_response(answer);
}

}  // namespace stele::api
