#pragma once
// /api/v1: tags and their history, promotion, the policy, upkeep. On the local socket and on the main
// listener; what a caller may do there: auth/access.hpp.

#include <memory>
#include <string>

#include "api/admin/route.hpp"
#include "audit/event_log.hpp"
#include "auth/access.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "gc/sweep.hpp"
#include "http/exchange.hpp"
#include "registry/policies.hpp"
#include "registry/policy_trial.hpp"
#include "registry/repositories.hpp"
#include "registry/retention.hpp"
#include "registry/tag_history.hpp"
#include "registry/tag_moves.hpp"

namespace stele::api {

// What an administrator can ask of the running server; implemented by server/.
class Administration {
 public:
  virtual ~Administration() = default;
  // A verified copy of the catalog; the file goes when the slice's owner goes.
  virtual Task<Result<http::FileSlice>> copy_catalog() = 0;
  virtual Task<Result<gc::SweepReport>> sweep(gc::SweepLimits limits) = 0;
};

// All of it outlives the handler.
struct AdminParts {
  Administration& administration;
  const RegistryParts& registry;
  const Policies& policies;
  const Retention& retention;
  const auth::Access& access;
  bool deletion;  // `delete` of the configuration
};

// Thread-safe.
class AdminHandler final : public http::Handler {
 public:
  explicit AdminHandler(const AdminParts& parts)
      : parts_(parts),
        history_(parts.registry),
        moves_(parts.registry),
        repositories_(parts.registry),
        trials_(parts.registry) {}
  Task<http::Response> handle(http::Exchange& http) override;
  http::Response refuse(int status, std::string_view why) override;

  static bool serves(std::string_view path) { return path.starts_with(admin_prefix); }

 private:
  using Answer = Task<Result<http::Response>>;
  Answer dispatch(http::Exchange& http);

  Answer make_backup(http::Exchange&, const AdminRoute&);
  Answer sweep(http::Exchange&, const AdminRoute&);
  Answer get_policy(http::Exchange&, const AdminRoute&);
  Answer explain_policy(http::Exchange&, const AdminRoute&);
  Answer try_policy(http::Exchange&, const AdminRoute&);
  Answer delete_repository(http::Exchange&, const AdminRoute&);
  Answer promote(http::Exchange&, const AdminRoute&);
  Answer list_tags(http::Exchange&, const AdminRoute&);
  Answer get_tag(http::Exchange&, const AdminRoute&);
  Answer get_tag_history(http::Exchange&, const AdminRoute&);
  Answer roll_back(http::Exchange&, const AdminRoute&);
  Answer list_locks(http::Exchange&, const AdminRoute&);
  Answer extend_lock(http::Exchange&, const AdminRoute&);
  Answer release_lock(http::Exchange&, const AdminRoute&);
  Answer list_holds(http::Exchange&, const AdminRoute&);
  Answer set_hold(http::Exchange&, const AdminRoute&);
  Answer release_hold(http::Exchange&, const AdminRoute&);
  Answer get_clock(http::Exchange&, const AdminRoute&);
  Answer confirm_clock(http::Exchange&, const AdminRoute&);

  static audit::Actor actor(const http::Exchange&);

  const AdminParts parts_;
  const TagHistory history_;
  const TagMoves moves_;
  const Repositories repositories_;
  const PolicyTrials trials_;
};

}  // namespace stele::api
