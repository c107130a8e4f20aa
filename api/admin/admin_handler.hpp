#pragma once
// /api/v1: tags and their history, promotion, the policy, the trash, upkeep. On the local socket and on the
// main listener; what a caller may do there: auth/access.hpp.

#include <atomic>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "api/admin/route.hpp"
#include "api/guarded_route.hpp"
#include "api/sealed_positions.hpp"
#include "audit/event_log.hpp"
#include "auth/access.hpp"
#include "auth/login_tokens.hpp"
#include "auth/robots.hpp"
#include "auth/user_tokens.hpp"
#include "base/result.hpp"
#include "base/scheduler.hpp"
#include "base/task.hpp"
#include "base/unique_fd.hpp"
#include "gc/fsck.hpp"
#include "gc/lifecycle/runs.hpp"
#include "gc/scrub.hpp"
#include "gc/sweep.hpp"
#include "gc/worker.hpp"
#include "http/exchange.hpp"
#include "registry/in_use.hpp"
#include "registry/policies.hpp"
#include "registry/policy_trial.hpp"
#include "registry/repositories.hpp"
#include "registry/retention.hpp"
#include "registry/tag_history.hpp"
#include "registry/tag_moves.hpp"
#include "registry/trash.hpp"
#include "registry/usage.hpp"
#include "registry/why.hpp"

namespace stele::mirror {
class Mirrors;
struct Place;
}  // namespace stele::mirror

namespace stele::auth {
class Authenticator;
class FirstAdministrator;
class LocalUsers;
class Passwords;
}  // namespace stele::auth

namespace stele::api {

struct ServerStatus {
  std::string version;
  Timestamp started;
  Result<void> store;  // why writes are refused, if they are
};

// What an administrator can ask of the running server; implemented by server/.
class Administration {
 public:
  virtual ~Administration() = default;
  // A verified copy of the catalog; the file goes when the slice's owner goes.
  virtual Task<Result<http::FileSlice>> copy_catalog() = 0;
  virtual Task<Result<gc::SweepReport>> sweep(gc::SweepLimits limits) = 0;
  // An empty file without a name, for an answer that is too large for memory. no_space, io.
  virtual Result<UniqueFd> scratch_file() = 0;
  virtual ServerStatus status() const = 0;
  virtual std::vector<JobStatus> jobs() const = 0;
};

// All of it outlives the handler.
struct AdminContext {
  Administration& administration;
  const RegistryContext& registry;  // for what the handler makes of it
  const Clock& clock;
  ReleaseClock& release_clock;
  const Policies& policies;
  const Retention& retention;
  gc::Worker& collection;
  gc::LifecycleRuns& lifecycle;
  const auth::Access& access;
  bool deletion;  // `delete` of the configuration
  const InUse& in_use;
  const Usages& usages;
  const Whys& whys;
  gc::Scrub& scrub;
  gc::Fsck& fsck;
  mirror::Mirrors* mirrors;   // null: nothing is mirrored
  std::string external_host;  // host[:port] of external_url, lower case; empty: not configured
  auth::Robots& robots;
  auth::LoginTokens& login_tokens;
  auth::UserTokens& user_tokens;
  bool login;  // somebody can log in
  auth::LocalUsers& local_users;
  auth::Passwords& passwords;
  const auth::FirstAdministrator& first_administrator;
  const auth::Authenticator& authenticator;
};

// Thread-safe.
class AdminHandler final : public http::Handler {
 public:
  explicit AdminHandler(const AdminContext& context)
      : context_(context),
        history_(context.registry),
        moves_(context.registry),
        repositories_(context.registry),
        trials_(context.registry),
        trash_(context.registry) {}
  Task<http::Response> handle(http::Exchange& http) override;
  http::Response refuse(int status, std::string_view why) override;

  static bool serves(std::string_view path) { return path.starts_with(admin_prefix); }

 private:
  using Answer = Task<Result<http::Response>>;
  using GuardedAdminRoute = GuardedRoute<AdminHandler, AdminEndpoint, AdminRoute>;
  static const GuardedAdminRoute routes[];
  Answer dispatch(http::Exchange& http);

  Answer make_backup(http::Exchange&, const AdminRoute&);
  Answer sweep(http::Exchange&, const AdminRoute&);
  Answer get_policy(http::Exchange&, const AdminRoute&);
  Answer explain_policy(http::Exchange&, const AdminRoute&);
  Answer try_policy(http::Exchange&, const AdminRoute&);
  Answer explain_access(http::Exchange&, const AdminRoute&);
  Answer delete_repository(http::Exchange&, const AdminRoute&);
  Answer promote(http::Exchange&, const AdminRoute&);
  Answer list_tags(http::Exchange&, const AdminRoute&);
  Answer get_tag(http::Exchange&, const AdminRoute&);
  Answer get_tag_history(http::Exchange&, const AdminRoute&);
  Answer roll_back(http::Exchange&, const AdminRoute&);
  Answer release_tag(http::Exchange&, const AdminRoute&);
  Answer list_locks(http::Exchange&, const AdminRoute&);
  Answer extend_lock(http::Exchange&, const AdminRoute&);
  Answer release_lock(http::Exchange&, const AdminRoute&);
  Answer list_holds(http::Exchange&, const AdminRoute&);
  Answer set_hold(http::Exchange&, const AdminRoute&);
  Answer release_hold(http::Exchange&, const AdminRoute&);
  Answer get_clock(http::Exchange&, const AdminRoute&);
  Answer confirm_clock(http::Exchange&, const AdminRoute&);
  Answer get_status(http::Exchange&, const AdminRoute&);
  Answer get_collection(http::Exchange&, const AdminRoute&);
  Answer pause_collection(http::Exchange&, const AdminRoute&);
  Answer resume_collection(http::Exchange&, const AdminRoute&);
  Answer get_lifecycle(http::Exchange&, const AdminRoute&);
  Answer plan_lifecycle(http::Exchange&, const AdminRoute&);
  Answer apply_lifecycle(http::Exchange&, const AdminRoute&);
  Answer run_lifecycle(http::Exchange&, const AdminRoute&);
  Answer list_lifecycle_runs(http::Exchange&, const AdminRoute&);
  Answer get_lifecycle_run(http::Exchange&, const AdminRoute&);
  Answer approve_lifecycle_run(http::Exchange&, const AdminRoute&);
  Answer dismiss_lifecycle_run(http::Exchange&, const AdminRoute&);
  Answer list_usage(http::Exchange&, const AdminRoute&);
  Answer ask_why(http::Exchange&, const AdminRoute&);
  Answer get_scrub(http::Exchange&, const AdminRoute&);
  Answer start_scrub(http::Exchange&, const AdminRoute&);
  Answer pause_scrub(http::Exchange&, const AdminRoute&);
  Answer resume_scrub(http::Exchange&, const AdminRoute&);
  Answer list_quarantine(http::Exchange&, const AdminRoute&);
  Answer get_fsck(http::Exchange&, const AdminRoute&);
  Answer start_fsck(http::Exchange&, const AdminRoute&);
  Answer list_in_use(http::Exchange&, const AdminRoute&);
  Answer report_in_use(http::Exchange&, const AdminRoute&);
  Answer get_in_use(http::Exchange&, const AdminRoute&);
  Answer remove_in_use(http::Exchange&, const AdminRoute&);
  Answer list_robots(http::Exchange&, const AdminRoute&);
  Answer create_robot(http::Exchange&, const AdminRoute&);
  Answer renew_robot(http::Exchange&, const AdminRoute&);
  Answer revoke_robot(http::Exchange&, const AdminRoute&);
  Answer remove_robot(http::Exchange&, const AdminRoute&);
  Answer list_users(http::Exchange&, const AdminRoute&);
  Answer create_user(http::Exchange&, const AdminRoute&);
  Answer set_user_password(http::Exchange&, const AdminRoute&);
  Answer disable_user(http::Exchange&, const AdminRoute&);
  Answer enable_user(http::Exchange&, const AdminRoute&);
  Answer change_user_groups(http::Exchange&, const AdminRoute&);
  Answer remove_user(http::Exchange&, const AdminRoute&);
  Answer create_first_administrator(http::Exchange&, const AdminRoute&);
  Task<Result<void>> name_is_free(const auth::UserName&);
  Answer list_tokens(http::Exchange&, const AdminRoute&);
  Answer revoke_tokens(http::Exchange&, const AdminRoute&);
  Answer revoke_token(http::Exchange&, const AdminRoute&);
  Answer list_own_tokens(http::Exchange&, const AdminRoute&);
  Answer create_own_token(http::Exchange&, const AdminRoute&);
  Answer revoke_own_token(http::Exchange&, const AdminRoute&);
  Answer list_trash(http::Exchange&, const AdminRoute&);
  Answer restore_trash(http::Exchange&, const AdminRoute&);
  Answer restore_run(http::Exchange&, const AdminRoute&);
  Answer erase_trash(http::Exchange&, const AdminRoute&);
  Answer erase_much_trash(http::Exchange&, const AdminRoute&);
  Answer list_mirrors(http::Exchange&, const AdminRoute&);
  Answer fetch_image(http::Exchange&, const AdminRoute&);

  // mirrored_images.cpp. The place of the repository that is promoted out of, which is then named as it is
  // stored; empty: it is this registry's own. Into a mirror nothing is promoted.
  Result<std::optional<mirror::Place>> find_mirrored(Promotion&) const;
  // Has it whole before it is promoted, by digest from then on; what was fetched for that.
  Task<Result<nlohmann::ordered_json>> gather_source(const mirror::Place&, bool offline, Promotion&) const;
  Answer list_mirror_updates(http::Exchange&, const AdminRoute&);
  Answer approve_mirror_update(http::Exchange&, const AdminRoute&);

  static audit::Actor actor(const http::Exchange&);

  const AdminContext context_;
  const TagHistory history_;
  const TagMoves moves_;
  const Repositories repositories_;
  const PolicyTrials trials_;
  const Trash trash_;
  const SealedPositions positions_;                  // of lists of repositories
  std::atomic<std::uint64_t> in_use_body_bytes_{0};  // of reports that are being read
  std::atomic<bool> applying_{false};                // a plan is being read or carried out
};

}  // namespace stele::api
