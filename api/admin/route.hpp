#pragma once
// The paths below /api/v1, described for clients in docs/api/openapi.yaml.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "auth/robot_name.hpp"
#include "auth/user_name.hpp"
#include "base/cluster_name.hpp"
#include "base/reference.hpp"
#include "base/result.hpp"

namespace stele::api {

enum class AdminEndpoint {
  backup,                 // /backup
  sweep,                  // /sweep
  policy,                 // /policy
  policy_explain,         // /policy/explain
  policy_try,             // /policy/try
  access_explain,         // /access/explain
  repository,             // /repositories/<name>
  promote,                // /repositories/<name>/promote
  tags,                   // /repositories/<name>/tags
  tag,                    // /repositories/<name>/tags/<tag>
  tag_history,            // /repositories/<name>/tags/<tag>/history
  tag_rollback,           // /repositories/<name>/tags/<tag>/rollback
  tag_release,            // /repositories/<name>/tags/<tag>/release
  tag_lock,               // /repositories/<name>/tags/<tag>/lock
  locks,                  // /repositories/<name>/locks
  why,                    // /repositories/<name>/why
  usage,                  // /usage
  holds,                  // /holds
  hold_release,           // /holds/<id>/release
  clock,                  // /clock
  clock_confirm,          // /clock/confirm
  status,                 // /status
  gc,                     // /gc
  gc_pause,               // /gc/pause
  gc_resume,              // /gc/resume
  lifecycle,              // /lifecycle
  lifecycle_plan,         // /lifecycle/plan
  lifecycle_apply,        // /lifecycle/apply
  lifecycle_run,          // /lifecycle/run
  lifecycle_runs,         // /lifecycle/runs
  lifecycle_run_id,       // /lifecycle/runs/<id>
  lifecycle_run_approve,  // /lifecycle/runs/<id>/approve
  lifecycle_run_dismiss,  // /lifecycle/runs/<id>/dismiss
  in_use,                 // /in-use
  in_use_cluster,         // /in-use/<cluster>
  robots,                 // /robots
  robot,                  // /robots/<robot>
  robot_renew,            // /robots/<robot>/renew
  robot_revoke,           // /robots/<robot>/revoke
  users,                  // /users
  user,                   // /users/<user>
  user_password,          // /users/<user>/password
  user_disable,           // /users/<user>/disable
  user_enable,            // /users/<user>/enable
  user_groups,            // /users/<user>/groups
  first_administrator,    // /first-administrator
  tokens,                 // /tokens
  tokens_revoke,          // /tokens/revoke
  token,                  // /tokens/<id>
  own_tokens,             // /account/tokens
  own_token,              // /account/tokens/<id>
  trash,                  // /trash
  trash_restore,          // /trash/restore
  trash_erase,            // /trash/erase
  trash_item,             // /trash/<id>
  trash_item_restore,     // /trash/<id>/restore
  scrub,                  // /scrub
  scrub_start,            // /scrub/start
  scrub_pause,            // /scrub/pause
  scrub_resume,           // /scrub/resume
  quarantine,             // /quarantine
  fsck,                   // /fsck
  mirrors,                // /mirrors
  mirror_fetches,         // /mirrors/fetches
  mirror_updates,         // /mirrors/<mirror>/updates
  mirror_approvals,       // /mirrors/<mirror>/approvals
};

struct AdminRoute {
  AdminEndpoint endpoint;
  std::optional<RepositoryName> name;
  std::optional<Tag> tag;
  std::int64_t id = 0;
  std::optional<ClusterName> cluster = std::nullopt;
  std::optional<auth::RobotName> robot = std::nullopt;
  std::optional<auth::UserName> user = std::nullopt;
  std::string mirror = {};  // as the configuration names it
};

// `path` is percent-encoded and begins with "/api/v1/". It is split before it is decoded: a repository's name
// is one segment with its slashes as %2F, whatever words it contains, or several as they are; then the
// longest ending that fits decides, and a name that ends in "/tags" needs the first form. not_found,
// name_invalid, tag_invalid, parameter_invalid.
Result<AdminRoute> parse_admin_route(std::string_view path);

inline constexpr std::string_view admin_prefix = "/api/v1/";

}  // namespace stele::api
