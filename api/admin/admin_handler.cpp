#include "api/admin/admin_handler.hpp"

#include "api/admin/foreign_page.hpp"
#include "api/error_response.hpp"
#include "api/hold_details.hpp"
#include "base/printable.hpp"

namespace stele::api {

Task<http::Response> AdminHandler::handle(http::Exchange& http) {
  http.note.route = "admin";
  auto answer = co_await dispatch(http);
  if (answer) co_return std::move(*answer);
  http.note.error = answer.error().message();
  http.note.store_failed = is_store_failure(answer.error().code());
  co_return error_response(
      for_the_eyes_of(http.identity(), context_.access, answer.error(), http.note.repository));
}

http::Response AdminHandler::refuse(int status, std::string_view why) {
  return error_response(status, why);
}

audit::Actor AdminHandler::actor(const http::Exchange& http) {
  return {http.identity().principal, http.id()};
}

namespace {

using auth::Right;
using http::Method;
using Over = auth::Needs::Over;
constexpr policy::Rights auditor{Right::audit}, approver{Right::approve};
constexpr policy::Rights overseers{Right::audit, Right::approve};
constexpr policy::Rights hold_seers{Right::release_hold, Right::audit};

// What changes something and has no entity tag asks no condition. Passing one over would do what the client
// wanted prevented.
Result<void> refuse_unasked_conditions(const http::RequestHead& request, AdminEndpoint endpoint) {
  if (request.method == Method::get || request.method == Method::head) return {};
  if (endpoint == AdminEndpoint::tag_rollback || endpoint == AdminEndpoint::tag_release ||
      endpoint == AdminEndpoint::promote)
    return {};
  for (const char* field : {"If-Match", "If-None-Match"}) {
    if (request.header(field).empty()) continue;
    return Error(Errc::parameter_invalid,
                 std::string(field) +
                     " is not asked here, where nothing has an entity tag; a rollback, a "
                     "release and a promotion ask it");
  }
  return {};
}

}  // namespace

constexpr AdminHandler::GuardedAdminRoute AdminHandler::routes[] = {
    {AdminEndpoint::backup, Method::post, Right::upkeep, "copying the catalog", &AdminHandler::make_backup},
    {AdminEndpoint::sweep, Method::post, Right::upkeep, "sweeping the store", &AdminHandler::sweep},
    {AdminEndpoint::policy, Method::get, Right::admin, auditor, "reading the policy",
     &AdminHandler::get_policy},
    {AdminEndpoint::policy_explain, Method::get, Right::pull, "explaining the policy",
     &AdminHandler::explain_policy, Over::somewhere},
    {AdminEndpoint::policy_try, Method::post, Right::admin, "trying a policy", &AdminHandler::try_policy},
    {AdminEndpoint::access_explain, Method::get, Right::admin, auditor, "explaining access",
     &AdminHandler::explain_access},
    {AdminEndpoint::repository, Method::del, Right::admin, "deleting a repository",
     &AdminHandler::delete_repository},
    {AdminEndpoint::promote, Method::post, Right::promote, "promoting", &AdminHandler::promote,
     Over::somewhere},
    {AdminEndpoint::tags, Method::get, Right::pull, "listing tags", &AdminHandler::list_tags},
    {AdminEndpoint::tag, Method::get, Right::pull, "reading a tag", &AdminHandler::get_tag},
    {AdminEndpoint::tag_history, Method::get, Right::pull, "reading a tag's history",
     &AdminHandler::get_tag_history},
    {AdminEndpoint::tag_rollback, Method::post, Right::rollback, "rolling a tag back",
     &AdminHandler::roll_back},
    {AdminEndpoint::tag_release, Method::post, Right::release_tag, "releasing a tag's name",
     &AdminHandler::release_tag},
    {AdminEndpoint::locks, Method::get, Right::pull, "listing locks", &AdminHandler::list_locks},
    {AdminEndpoint::tag_lock, Method::post, Right::admin, "extending a lock", &AdminHandler::extend_lock},
    {AdminEndpoint::tag_lock, Method::del, Right::bypass_governance, "releasing a lock",
     &AdminHandler::release_lock},
    {AdminEndpoint::why, Method::get, Right::pull, "asking why", &AdminHandler::ask_why},
    {AdminEndpoint::usage, Method::get, Right::pull, "asking what repositories hold",
     &AdminHandler::list_usage, Over::somewhere},
    {AdminEndpoint::holds, Method::get, Right::hold, hold_seers, "listing holds", &AdminHandler::list_holds,
     Over::somewhere},
    {AdminEndpoint::holds, Method::post, Right::hold, "setting a hold", &AdminHandler::set_hold,
     Over::somewhere},
    {AdminEndpoint::hold_release, Method::post, Right::release_hold, "releasing a hold",
     &AdminHandler::release_hold, Over::somewhere},
    {AdminEndpoint::clock, Method::get, Right::pull, auditor, "reading the clock", &AdminHandler::get_clock},
    {AdminEndpoint::clock_confirm, Method::post, Right::admin, "confirming the clock",
     &AdminHandler::confirm_clock},
    {AdminEndpoint::status, Method::get, Right::admin, auditor, "asking how the server stands",
     &AdminHandler::get_status},
    {AdminEndpoint::gc, Method::get, Right::pull, auditor, "asking about the collector",
     &AdminHandler::get_collection},
    {AdminEndpoint::gc_pause, Method::post, Right::admin, "pausing the collector",
     &AdminHandler::pause_collection},
    {AdminEndpoint::gc_resume, Method::post, Right::admin, "resuming the collector",
     &AdminHandler::resume_collection},
    {AdminEndpoint::lifecycle, Method::get, Right::pull, auditor, "reading the lifecycle rules",
     &AdminHandler::get_lifecycle},
    {AdminEndpoint::lifecycle_plan, Method::post, Right::lifecycle, auditor, "making a lifecycle plan",
     &AdminHandler::plan_lifecycle},
    {AdminEndpoint::lifecycle_apply, Method::post, Right::lifecycle, "applying a lifecycle plan",
     &AdminHandler::apply_lifecycle},
    {AdminEndpoint::lifecycle_run, Method::post, Right::lifecycle, "running lifecycle",
     &AdminHandler::run_lifecycle},
    {AdminEndpoint::lifecycle_runs, Method::get, Right::lifecycle, auditor, "listing lifecycle runs",
     &AdminHandler::list_lifecycle_runs},
    {AdminEndpoint::lifecycle_run_id, Method::get, Right::lifecycle, auditor, "reading a lifecycle run",
     &AdminHandler::get_lifecycle_run},
    {AdminEndpoint::lifecycle_run_approve, Method::post, Right::approve, "approving a lifecycle run",
     &AdminHandler::approve_lifecycle_run},
    {AdminEndpoint::lifecycle_run_dismiss, Method::post, Right::lifecycle, approver,
     "dismissing a lifecycle run", &AdminHandler::dismiss_lifecycle_run},
    {AdminEndpoint::scrub, Method::get, Right::pull, auditor, "asking about the scrub",
     &AdminHandler::get_scrub},
    {AdminEndpoint::scrub_start, Method::post, Right::admin, "starting the scrub",
     &AdminHandler::start_scrub},
    {AdminEndpoint::scrub_pause, Method::post, Right::admin, "pausing the scrub", &AdminHandler::pause_scrub},
    {AdminEndpoint::scrub_resume, Method::post, Right::admin, "resuming the scrub",
     &AdminHandler::resume_scrub},
    {AdminEndpoint::quarantine, Method::get, Right::admin, auditor, "listing the quarantine",
     &AdminHandler::list_quarantine},
    {AdminEndpoint::fsck, Method::get, Right::admin, auditor, "reading a check's report",
     &AdminHandler::get_fsck},
    {AdminEndpoint::fsck, Method::post, Right::admin, "checking everything", &AdminHandler::start_fsck},
    {AdminEndpoint::in_use, Method::get, Right::report_in_use, auditor, "listing what clusters run",
     &AdminHandler::list_in_use},
    {AdminEndpoint::in_use_cluster, Method::put, Right::report_in_use, "reporting what a cluster runs",
     &AdminHandler::report_in_use},
    {AdminEndpoint::in_use_cluster, Method::get, Right::report_in_use, auditor, "reading what a cluster runs",
     &AdminHandler::get_in_use},
    {AdminEndpoint::in_use_cluster, Method::del, Right::admin, "removing a cluster's report",
     &AdminHandler::remove_in_use},
    {AdminEndpoint::robots, Method::get, Right::admin, auditor, "listing robots", &AdminHandler::list_robots},
    {AdminEndpoint::robots, Method::post, Right::admin, "creating a robot", &AdminHandler::create_robot},
    {AdminEndpoint::robot, Method::del, Right::admin, "removing a robot", &AdminHandler::remove_robot},
    {AdminEndpoint::robot_renew, Method::post, Right::admin, "renewing a robot", &AdminHandler::renew_robot},
    {AdminEndpoint::robot_revoke, Method::post, Right::admin, "revoking a robot's secret",
     &AdminHandler::revoke_robot},
    {AdminEndpoint::users, Method::get, Right::admin, auditor, "listing users", &AdminHandler::list_users},
    {AdminEndpoint::users, Method::post, Right::admin, "making a user", &AdminHandler::create_user},
    {AdminEndpoint::user, Method::del, Right::admin, "removing a user", &AdminHandler::remove_user},
    {AdminEndpoint::user_password, Method::post, Right::admin, "setting a user's password",
     &AdminHandler::set_user_password},
    {AdminEndpoint::user_disable, Method::post, Right::admin, "disabling a user",
     &AdminHandler::disable_user},
    {AdminEndpoint::user_enable, Method::post, Right::admin, "enabling a user", &AdminHandler::enable_user},
    {AdminEndpoint::user_groups, Method::post, Right::admin, "changing a user's groups",
     &AdminHandler::change_user_groups},
    {AdminEndpoint::first_administrator, Method::post, Right::admin, "making the first administrator",
     &AdminHandler::create_first_administrator, Over::anybody},
    {AdminEndpoint::tokens, Method::get, Right::admin, auditor, "listing tokens", &AdminHandler::list_tokens},
    {AdminEndpoint::tokens_revoke, Method::post, Right::admin, "revoking somebody's tokens",
     &AdminHandler::revoke_tokens},
    {AdminEndpoint::token, Method::del, Right::admin, "revoking a token", &AdminHandler::revoke_token},
    {AdminEndpoint::own_tokens, Method::get, Right::pull, "listing one's own tokens",
     &AdminHandler::list_own_tokens, Over::nothing},
    {AdminEndpoint::own_tokens, Method::post, Right::pull, "making a token of one's own",
     &AdminHandler::create_own_token, Over::nothing},
    {AdminEndpoint::own_token, Method::del, Right::pull, "revoking a token of one's own",
     &AdminHandler::revoke_own_token, Over::nothing},
    {AdminEndpoint::mirrors, Method::get, Right::admin, overseers, "asking how the mirrors stand",
     &AdminHandler::list_mirrors},
    {AdminEndpoint::mirror_fetches, Method::post, Right::admin, "fetching into a mirror",
     &AdminHandler::fetch_image},
    {AdminEndpoint::mirror_updates, Method::get, Right::admin, overseers, "asking what upstream names now",
     &AdminHandler::list_mirror_updates},
    {AdminEndpoint::mirror_approvals, Method::post, Right::approve, "approving what upstream names",
     &AdminHandler::approve_mirror_update},
    {AdminEndpoint::trash, Method::get, Right::admin, auditor, "listing the trash",
     &AdminHandler::list_trash},
    {AdminEndpoint::trash_item_restore, Method::post, Right::admin, "restoring from the trash",
     &AdminHandler::restore_trash},
    {AdminEndpoint::trash_restore, Method::post, Right::admin, "restoring a run from the trash",
     &AdminHandler::restore_run},
    {AdminEndpoint::trash_item, Method::del, Right::admin, "erasing from the trash",
     &AdminHandler::erase_trash},
    {AdminEndpoint::trash_erase, Method::post, Right::admin, "erasing the trash",
     &AdminHandler::erase_much_trash},
};

AdminHandler::Answer AdminHandler::dispatch(http::Exchange& http) {
  // Before anything else: whoever may do nothing on this socket learns nothing there.
  if (http.identity().method == Identity::Method::socket) {
    if (auto may_ask = context_.access.may(http.identity(), {Right::pull, "asking"}, nullptr); !may_ask)
      co_return may_ask.error();
  }
  if (auto own =
          refuse_foreign_page(http.request(), http.identity(), context_.external_host, http.peer().tls);
      !own)
    co_return own.error();
  const auto route = parse_admin_route(http.request().path);
  if (!route) co_return route.error();
  if (route->name) http.note.repository = route->name->str();
  if (route->tag) http.note.reference = route->tag->str();
  const auto found = find_route<GuardedAdminRoute>(routes, route->endpoint, http.request().method);
  if (found.row) {
    if (auto may = may_ask(context_.access, http, *found.row, route->name); !may) co_return may.error();
    if (auto unasked = refuse_unasked_conditions(http.request(), route->endpoint); !unasked)
      co_return unasked.error();
    co_return co_await (this->*found.row->answerer)(http, *route);
  }
  const Error error(Errc::method_not_allowed, printable(http.request().method_text, 40) +
                                                  " is not supported here; this endpoint knows " +
                                                  found.allowed);
  http.note.error = error.message();
  http.note.store_failed = is_store_failure(error.code());
  http::Response response = error_response(error);
  response.header("Allow", found.allowed);
  co_return response;
}

}  // namespace stele::api
