#include "api/admin/admin_handler.hpp"

#include <array>

#include "api/error_response.hpp"
#include "auth/identify.hpp"
#include "base/printable.hpp"

namespace stele::api {

Task<http::Response> AdminHandler::handle(http::Exchange& http) {
  http.note.route = "admin";
  http.note.principal = auth::identify(http).name();
  auto answer = co_await dispatch(http);
  if (answer) co_return std::move(*answer);
  http.note.error = answer.error().message();
  co_return error_response(answer.error());
}

http::Response AdminHandler::refuse(int status, std::string_view why) {
  return error_response(status, why);
}

audit::Actor AdminHandler::actor(const http::Exchange& http) {
  return {auth::identify(http), http.id()};
}

AdminHandler::Answer AdminHandler::dispatch(http::Exchange& http) {
  using auth::Right;
  using http::Method;
  struct Entry {
    AdminEndpoint endpoint;
    Method method;
    Right right;
    const char* what;  // for the refusal
    Answer (AdminHandler::*handler)(http::Exchange&, const AdminRoute&);
  };
  static constexpr std::array<Entry, 19> table{{
      {AdminEndpoint::backup, Method::post, Right::upkeep, "copying the catalog", &AdminHandler::make_backup},
      {AdminEndpoint::sweep, Method::post, Right::upkeep, "sweeping the store", &AdminHandler::sweep},
      {AdminEndpoint::policy, Method::get, Right::admin, "reading the policy", &AdminHandler::get_policy},
      {AdminEndpoint::policy_explain, Method::get, Right::pull, "explaining the policy",
       &AdminHandler::explain_policy},
      {AdminEndpoint::policy_try, Method::post, Right::admin, "trying a policy", &AdminHandler::try_policy},
      {AdminEndpoint::repository, Method::del, Right::admin, "deleting a repository",
       &AdminHandler::delete_repository},
      {AdminEndpoint::promote, Method::post, Right::promote, "promoting", &AdminHandler::promote},
      {AdminEndpoint::tags, Method::get, Right::pull, "listing tags", &AdminHandler::list_tags},
      {AdminEndpoint::tag, Method::get, Right::pull, "reading a tag", &AdminHandler::get_tag},
      {AdminEndpoint::tag_history, Method::get, Right::pull, "reading a tag's history",
       &AdminHandler::get_tag_history},
      {AdminEndpoint::tag_rollback, Method::post, Right::rollback, "rolling a tag back",
       &AdminHandler::roll_back},
      {AdminEndpoint::locks, Method::get, Right::pull, "listing locks", &AdminHandler::list_locks},
      {AdminEndpoint::tag_lock, Method::post, Right::admin, "extending a lock", &AdminHandler::extend_lock},
      {AdminEndpoint::tag_lock, Method::del, Right::bypass_governance, "releasing a lock",
       &AdminHandler::release_lock},
      {AdminEndpoint::holds, Method::get, Right::hold, "listing holds", &AdminHandler::list_holds},
      {AdminEndpoint::holds, Method::post, Right::hold, "setting a hold", &AdminHandler::set_hold},
      {AdminEndpoint::hold_release, Method::post, Right::release_hold, "releasing a hold",
       &AdminHandler::release_hold},
      {AdminEndpoint::clock, Method::get, Right::pull, "reading the clock", &AdminHandler::get_clock},
      {AdminEndpoint::clock_confirm, Method::post, Right::admin, "confirming the clock",
       &AdminHandler::confirm_clock},
  }};
  // Before anything else: whoever may do nothing on this socket learns nothing there.
  if (auto may_ask = parts_.access.require(http, Right::pull, "asking"); !may_ask) co_return may_ask.error();
  const auto route = parse_admin_route(http.request().path);
  if (!route) co_return route.error();
  if (route->name) http.note.repository = route->name->str();
  if (route->tag) http.note.reference = route->tag->str();
  std::string allowed;
  for (const Entry& entry : table) {
    if (entry.endpoint != route->endpoint) continue;
    if (entry.method == http.request().method) {
      if (auto may = parts_.access.require(http, entry.right, entry.what); !may) co_return may.error();
      co_return co_await (this->*entry.handler)(http, *route);
    }
    allowed += (allowed.empty() ? "" : ", ") + std::string(http::to_string(entry.method));
  }
  const Error error(Errc::method_not_allowed, printable(http.request().method_text, 40) +
                                                  " is not supported here; this endpoint knows " + allowed);
  http.note.error = error.message();
  http::Response response = error_response(error);
  response.header("Allow", allowed);
  co_return response;
}

}  // namespace stele::api
