#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/admin/admin_handler.hpp"
#include "api/admin/json.hpp"
#include "auth/first_administrator.hpp"
#include "auth/local_users.hpp"
#include "auth/passwords.hpp"
#include "base/printable.hpp"
#include "http/uri.hpp"

namespace stele::api {
namespace {

constexpr std::int64_t largest_user_page = 1000;
constexpr std::size_t shortest_password = 8;  // NIST SP 800-63B, 5.1.1.1

Json user_json(const auth::LocalUser& user) {
  return Json{
      {"name", user.row.name},
      {"state", user.disabled() ? "disabled" : "active"},
      {"groups", user.groups},
      {"disabled_at", user.disabled() ? Json(to_string(*user.row.disabled_at)) : Json(nullptr)},
      {"password_changed_at", to_string(user.row.password_changed_at)},
      {"created_at", to_string(user.row.created_at)},
      {"created_by", user.row.created_by},
  };
}

Result<std::vector<auth::GroupName>> groups_of(const nlohmann::json& body, const char* member_name) {
  std::vector<auth::GroupName> groups;
  const auto member = body.find(member_name);
  if (member == body.end()) return groups;
  if (!member->is_array())
    return Error(Errc::parameter_invalid, std::string(member_name) + " must be a list, as in [\"dev\"]");
  for (const auto& text : *member) {
    if (!text.is_string()) return Error(Errc::parameter_invalid, "a group must be a text");
    auto group = auth::GroupName::parse(text.get<std::string>());
    if (!group) return group.error();
    groups.push_back(std::move(*group));
  }
  return groups;
}

Result<std::string> password_of(const nlohmann::json& body) {
  auto password = text_member(body, "password");
  if (password && password->empty()) return Error(Errc::parameter_invalid, "password is missing");
  if (password && password->size() < shortest_password)
    return Error(Errc::parameter_invalid,
                 "a new password has at least " + std::to_string(shortest_password) + " bytes");
  return password;
}

bool is_administrator(const auth::LocalUser& user) {
  return std::find(user.groups.begin(), user.groups.end(), auth::FirstAdministrator::group) !=
         user.groups.end();
}

Result<auth::UserName> name_of(const nlohmann::json& body) {
  const auto text = required_line(body, "name");
  if (!text) return text.error();
  return auth::UserName::parse(*text);
}

Error nobody_logs_in() {
  return Error(Errc::parameter_invalid,
               "local users cannot log in here, since nobody can: set auth.local_users: on in the "
               "configuration and start the server again");
}

Error stands_in_the_file(const auth::UserName& name, const std::string& file) {
  return Error(Errc::parameter_invalid, "the name " + name.str() + " stands in " + file +
                                            " (auth.htpasswd.file), in whatever letters, which is asked "
                                            "before local users; take it out there, or choose "
                                            "another name");
}

}  // namespace

// A name that an earlier source has would be a user who can never log in.
Task<Result<void>> AdminHandler::name_is_free(const auth::UserName& name) {
  if (!context_.login) co_return nobody_logs_in();
  const auto* const file = context_.passwords.file();
  if (!file) co_return Result<void>();
  const auto renewed =
      co_await context_.passwords.find(name.str());  // reads the file again if it is another one
  if (!renewed) co_return renewed.error();
  if (file->users()->has_in_any_letters(name.str())) co_return stands_in_the_file(name, file->path());
  co_return Result<void>();
}

// GET /api/v1/users?n=…&after=…
AdminHandler::Answer AdminHandler::list_users(http::Exchange& http, const AdminRoute&) {
  const auto limit = page_size(http.request().query, largest_user_page);
  if (!limit) co_return limit.error();
  const http::QueryParameters query(http.request().query);
  const auto users = context_.local_users.list(std::string(query.first("after").value_or("")), *limit);
  if (!users) co_return users.error();
  Json list = Json::array();
  for (const auth::LocalUser& user : *users) list.push_back(user_json(user));
  Json body{{"users", std::move(list)}, {"next", nullptr}};
  if (static_cast<std::int64_t>(users->size()) == *limit) body["next"] = users->back().row.name;
  co_return json_response(body);
}

// POST /api/v1/users
AdminHandler::Answer AdminHandler::create_user(http::Exchange& http, const AdminRoute&) {
  static constexpr std::string_view members[] = {"name", "password", "groups"};
  const auto body = co_await read_json(http, members);
  if (!body) co_return body.error();
  auto name = name_of(*body);
  if (!name) co_return name.error();
  auto groups = groups_of(*body, "groups");
  if (!groups) co_return groups.error();
  auto password = password_of(*body);
  if (!password) co_return password.error();
  if (auto free = co_await name_is_free(*name); !free) co_return free.error();
  auto hash = co_await context_.passwords.make(std::move(*password));
  if (!hash) co_return hash.error();
  auth::NewUser asked{std::move(*name), std::move(*groups), actor(http)};
  const auto made = co_await context_.local_users.create(std::move(asked), std::move(*hash));
  if (!made) co_return made.error();
  if (is_administrator(*made)) context_.first_administrator.end();
  co_return json_response(user_json(*made), 201);
}

// POST /api/v1/users/<name>/password
AdminHandler::Answer AdminHandler::set_user_password(http::Exchange& http, const AdminRoute& route) {
  static constexpr std::string_view members[] = {"password"};
  const auto body = co_await read_json(http, members);
  if (!body) co_return body.error();
  auto password = password_of(*body);
  if (!password) co_return password.error();
  auto hash = co_await context_.passwords.make(std::move(*password));
  if (!hash) co_return hash.error();
  const auto changed = co_await context_.local_users.set_password(*route.user, std::move(*hash), actor(http));
  if (!changed) co_return changed.error();
  co_return json_response(user_json(*changed));
}

// POST /api/v1/users/<name>/disable
AdminHandler::Answer AdminHandler::disable_user(http::Exchange& http, const AdminRoute& route) {
  auto reason = co_await read_reason(http);
  if (!reason) co_return reason.error();
  const auto changed = co_await context_.local_users.disable(*route.user, std::move(*reason), actor(http));
  if (!changed) co_return changed.error();
  co_return json_response(user_json(*changed));
}

// POST /api/v1/users/<name>/enable
AdminHandler::Answer AdminHandler::enable_user(http::Exchange& http, const AdminRoute& route) {
  auto reason = co_await read_reason(http);
  if (!reason) co_return reason.error();
  const auto changed = co_await context_.local_users.enable(*route.user, std::move(*reason), actor(http));
  if (!changed) co_return changed.error();
  co_return json_response(user_json(*changed));
}

// POST /api/v1/users/<name>/groups
AdminHandler::Answer AdminHandler::change_user_groups(http::Exchange& http, const AdminRoute& route) {
  static constexpr std::string_view members[] = {"add", "remove"};
  const auto body = co_await read_json(http, members);
  if (!body) co_return body.error();
  auto add = groups_of(*body, "add");
  if (!add) co_return add.error();
  auto remove = groups_of(*body, "remove");
  if (!remove) co_return remove.error();
  if (add->empty() && remove->empty())
    co_return Error(Errc::parameter_invalid, "name groups in add or remove, as in {\"add\": [\"dev\"]}");
  const auto changed = co_await context_.local_users.change_groups(*route.user, std::move(*add),
                                                                   std::move(*remove), actor(http));
  if (!changed) co_return changed.error();
  if (is_administrator(*changed)) context_.first_administrator.end();
  co_return json_response(user_json(*changed));
}

// DELETE /api/v1/users/<name>
AdminHandler::Answer AdminHandler::remove_user(http::Exchange& http, const AdminRoute& route) {
  auto reason = co_await read_reason(http);
  if (!reason) co_return reason.error();
  const auto removed = co_await context_.local_users.remove(*route.user, std::move(*reason), actor(http));
  if (!removed) co_return removed.error();
  const Json answer{{"name", route.user->str()}, {"removed", true}};
  co_return json_response(answer);
}

// POST /api/v1/first-administrator
AdminHandler::Answer AdminHandler::create_first_administrator(http::Exchange& http, const AdminRoute&) {
  static constexpr std::string_view members[] = {"token", "name", "password"};
  const auto body = co_await read_json(http, members);
  if (!body) co_return body.error();
  const auto token = text_member(*body, "token");
  if (!token) co_return token.error();
  const auth::FirstAdministrator& first = context_.first_administrator;
  const Clock& clock = context_.clock;
  // Before all else: who has no token learns nothing, and costs no hash.
  if (auto good = first.check(*token, clock.now()); !good) co_return good.error();
  const auto ends = first.open_until(clock.now());
  auto name = name_of(*body);
  if (!name) co_return name.error();
  auto password = password_of(*body);
  if (!password) co_return password.error();
  if (auto free = co_await name_is_free(*name); !free) co_return free.error();
  auto hash = co_await context_.passwords.make(std::move(*password));
  if (!hash) co_return hash.error();
  if (auto taken = first.take(*token, clock.now()); !taken) co_return taken.error();
  audit::Actor by_token{Principal("first-administrator"), http.id()};
  std::vector<auth::GroupName> groups{auth::GroupName::parse(auth::FirstAdministrator::group).value()};
  auth::NewUser asked{std::move(*name), std::move(groups), std::move(by_token)};
  const auto made = co_await context_.local_users.create(std::move(asked), std::move(*hash));
  if (!made) {
    if (ends) first.give_back(*token, *ends);
    co_return made.error();
  }
  co_return json_response(user_json(*made), 201);
}

}  // namespace stele::api
