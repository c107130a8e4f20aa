// What a run does with each repository: judges it, asks somebody or upstream where that is due, removes.

#include <algorithm>
#include <limits>

#include "gc/lifecycle/approved_items.hpp"
#include "gc/lifecycle/runs.hpp"
#include "gc/write_now.hpp"
#include "registry/expiry.hpp"
#include "storage/catalog/collection.hpp"

namespace stele::gc {
namespace {

using std::chrono::steady_clock;

constexpr std::size_t most_reasons = 20;
constexpr Timestamp end_of_time{std::numeric_limits<std::int64_t>::max()};

Error ends(std::string why) {
  return Error(Errc::unavailable, std::move(why));
}

// Empty: it may go on.
std::string why_too_many(const policy::Lifecycle& lifecycle, const policy::Judgement& judgement,
                         std::uint64_t so_far) {
  if (std::string why = why_stopped(lifecycle, judgement); !why.empty()) return why;
  if (so_far + judgement.manifests_expiring <= lifecycle.settings().max_count) return {};
  return std::to_string(judgement.manifests_expiring) + " manifests would go, and with the " +
         std::to_string(so_far) + " before them the run would remove more than max_count allows (" +
         std::to_string(lifecycle.settings().max_count) +
         "); look at the plan, then stele lifecycle approve or dismiss";
}

}  // namespace

struct LifecycleRuns::OneRun {
  const Order& order;
  catalog::RunRow& row;
  const policy::Policy& policy;
  UpstreamCopies copies;
  std::size_t reasons = 0;  // told so far

  void tell(const std::string& line) {
    if (reasons++ < most_reasons) add_line(row.message, line);
  }
};

void LifecycleRuns::add_line(std::string& message, const std::string& line) {
  message += (message.empty() ? "" : "\n") + line;
}

Result<RunDetails> LifecycleRuns::carry_out(const Order& order) {
  const auto policy = context_.policy.current();
  catalog::RunRow run;
  run.state = "running";
  run.started_by = order.started_by;
  run.policy_hash = policy->hash();
  if (order.plan) run.plan_hash = order.plan->hash;
  // By the clock that the schedule goes by, so that one time is not met twice.
  run.begun_at = lifecycle_time(context_);
  const auto inserted = write_now(context_.writer, {"lifecycle"}, [&](sql::Tx& tx) -> Result<std::int64_t> {
    const std::int64_t id = catalog::insert_run(tx, run);
    audit::append(
        tx,
        audit::Event{"lifecycle.begin", {}, {}, std::nullopt, std::nullopt, {}, "run " + std::to_string(id)},
        order.actor, context_.clock.now());
    return id;
  });
  if (!inserted) return inserted.error();
  run.id = *inserted;
  const auto begun = steady_clock::now();
  OneRun one{order, run, *policy, UpstreamCopies(context_, mirrored_.there), {}};
  visit_all(one);
  run.ended_at = context_.clock.now();
  const auto ended = write_now(context_.writer, {"lifecycle"}, [&](sql::Tx& tx) -> Result<void> {
    catalog::update_run(tx, run);
    audit::append(tx,
                  audit::Event{"lifecycle.end",
                               {},
                               {},
                               std::nullopt,
                               std::nullopt,
                               {},
                               "run " + std::to_string(run.id) + ": " + run.state},
                  order.actor, context_.clock.now());
    auto answered = order.answers ? catalog::find_run(tx, order.answers) : std::nullopt;
    if (!answered || run.state != "done") return {};
    answered->state = "done";
    add_line(answered->message, "approved by " + order.started_by + ": run " + std::to_string(run.id));
    catalog::update_run(tx, *answered);
    catalog::delete_waiting(tx, order.answers);
    return {};
  });
  const std::lock_guard lock(mutex_);
  ++status_.runs;
  status_.seconds += std::chrono::duration<double>(steady_clock::now() - begun).count();
  status_.problem = run.state == "failed" ? run.message : std::string();
  if (!ended) return ended.error();
  return find(run.id);
}

void LifecycleRuns::visit_all(OneRun& run) {
  run.row.state = "done";
  const auto everywhere = policy::PatternList::compile({"**"}).value();
  bool waits = false;
  const auto visited =
      visit_repositories(context_, everywhere, [&](const RepositoryName& name) -> Result<void> {
        if (run.order.plan && !run.order.plan->items.contains(name.str())) return {};
        if (std::string why = why_end(run.order, run.policy); !why.empty()) return ends(std::move(why));
        const auto waiting = run_repository(run, name);
        if (!waiting && waiting.error().code() == Errc::name_unknown) return {};  // deleted meanwhile
        if (!waiting) return waiting.error();
        waits = waits || *waiting;
        return {};
      });
  if (waits) run.row.state = "waiting";
  if (visited) return;
  const bool ended = visited.error().code() == Errc::unavailable;
  if (!waits) run.row.state = ended ? "interrupted" : "failed";
  add_line(run.row.message,
           visited.error().message() + (ended ? "; what was left is judged anew by the next run" : ""));
}

// True: it waits for somebody.
Result<bool> LifecycleRuns::run_repository(OneRun& run, const RepositoryName& name) {
  const Timestamp judged_at = context_.clock.now();
  const auto judged = judge_repository(context_, run.policy, name);
  if (!judged) return judged.error();
  if (!*judged) return false;
  const policy::Judgement& judgement = (*judged)->judgement;
  count_verdicts(run.row, judgement);
  const std::optional<ApprovedPlan>& plan = run.order.plan;
  if (!plan || !plan->may_exceed) {
    const auto so_far = static_cast<std::uint64_t>(run.row.removed);
    if (const std::string why = why_too_many(*run.policy.lifecycle(), judgement, so_far); !why.empty()) {
      if (auto kept = keep_waiting(run.row, **judged, judged_at, why); !kept) return kept.error();
      return true;
    }
  }
  std::optional<Approval> approval;
  if (plan) approval.emplace(plan->items.at(name.str()), plan->made_at);
  using Kind = MirroredRepositories::Kind;
  const Kind kind = mirrored_.kind_of ? mirrored_.kind_of(name) : Kind::not_mirrored;
  Result<ApprovedItems> there = ApprovedItems();
  if (kind != Kind::not_mirrored) {
    there = may_come_back(run, **judged, kind);
    if (!there) return there.error();
    approval.emplace(*there, plan ? plan->made_at : end_of_time);
  }
  if (auto expired = expire_all(run, **judged, approval); !expired) return expired.error();
  return false;
}

void LifecycleRuns::count_verdicts(catalog::RunRow& run, const policy::Judgement& judgement) {
  ++run.repositories;
  run.blocked += static_cast<std::int64_t>(judgement.items_blocked);
  const std::lock_guard lock(mutex_);
  status_.expired += judgement.items_expiring;
  status_.blocked += judgement.items_blocked;
  status_.kept += judgement.items.size() - judgement.items_expiring - judgement.items_blocked;
}

// Of a mirrored repository: what is due and could be fetched again.
Result<ApprovedItems> LifecycleRuns::may_come_back(OneRun& run, const JudgedRepository& judged,
                                                   MirroredRepositories::Kind kind) {
  const std::string repository = judged.view.name.str();
  const ApprovedItems* const asked_for = run.order.plan ? &run.order.plan->items.at(repository) : nullptr;
  ApprovedItems may_go;
  for (const DepartingGroup& group : departing_groups(judged)) {
    if (std::string why = why_end(run.order, run.policy); !why.empty()) return ends(std::move(why));
    const bool is_asked_for =
        !asked_for || std::any_of(group.items.begin(), group.items.end(),
                                  [&](const auto& item) { return asked_for->contains(item); });
    if (!is_asked_for) continue;
    if (run.copies.is_leased(group)) {
      ++run.row.survived;
      run.tell(repository + ": stays: " + group.name() + ": somebody looked at it within gc.lease");
      continue;
    }
    const auto again = run.copies.can_come_back(group, kind == MirroredRepositories::Kind::by_digest);
    if (!again) {
      // Nor would the next question be answered: what is left here waits for another run.
      ++run.row.survived;
      run.tell(repository + ": stays: " + group.name() +
               ": whether it could be fetched again is not known: " + again.error().message());
      break;
    }
    if (!*again) {
      ++run.row.blocked;
      run.tell(repository + ": BLOCKED: " + group.name() +
               ": gone upstream: it would be the last copy; delete it by hand if it is not needed");
      continue;
    }
    for (const auto& item : group.items) {
      if (!asked_for || asked_for->contains(item)) may_go.insert(item);
    }
  }
  return may_go;
}

Result<void> LifecycleRuns::expire_all(OneRun& run, const JudgedRepository& judged,
                                       const std::optional<Approval>& approval) {
  Pace pace(context_.writer, settings_.batch, settings_.batch_beside_others);
  auto batches = departing_batches(judged, approval, pace.longest());
  for (std::size_t next = 0; next < batches.size();) {
    if (std::string why = why_end(run.order, run.policy); !why.empty()) return ends(std::move(why));
    const auto begun = steady_clock::now();
    DepartingBatch batch = take_batch(batches, next, pace.size());
    if (auto expired = expire_batch(run, judged, batch); !expired) return expired.error();
    rest(pace.rest(steady_clock::now() - begun));
  }
  return {};
}

Result<void> LifecycleRuns::expire_batch(OneRun& run, const JudgedRepository& judged, DepartingBatch& batch) {
  ExpiryBatch expiry{judged.view.name,
                     std::move(batch.manifests),
                     std::move(batch.edges),
                     judged.view.seen,
                     run.row.id,
                     context_.clock.now() + run.policy.lifecycle()->settings().trash_for * 1'000'000,
                     run.policy.hash(),
                     run.order.actor};
  const std::string repository = judged.view.name.str();
  const std::size_t count = expiry.manifests.size();
  const auto expired = sync_wait(expire(context_, std::move(expiry)));
  if (!expired && expired.error().code() == Errc::refused_by_policy) {
    // Looked at and found free, and then refused all the same: it stays, and the next run looks again.
    run.row.survived += static_cast<std::int64_t>(count);
    add_line(run.row.message, repository + ": " + expired.error().message());
    return {};
  }
  if (!expired) return expired.error();
  run.row.removed += static_cast<std::int64_t>(expired->removed);
  run.row.untagged += static_cast<std::int64_t>(expired->untagged);
  run.row.survived += static_cast<std::int64_t>(expired->survived);
  for (std::size_t i = 0; i < expired->gone.size(); ++i) {
    if (expired->gone[i]) run.row.bytes += batch.frees_bytes[i];
  }
  for (const std::string& reason : expired->reasons) run.tell(repository + ": stays: " + reason);
  const std::lock_guard lock(mutex_);
  status_.removed += expired->removed;
  status_.untagged += expired->untagged;
  status_.survived += expired->survived;
  return {};
}

Result<void> LifecycleRuns::keep_waiting(catalog::RunRow& run, const JudgedRepository& judged,
                                         Timestamp judged_at, const std::string& why) {
  const std::string repository = judged.view.name.str();
  add_line(run.message, repository + ": waits: " + why);
  const std::string items = write_items(judged, judged_at);
  return write_now(context_.writer, {"lifecycle"}, [&](sql::Tx& tx) -> Result<void> {
    // What an earlier run asked of this repository is asked anew.
    for (const std::int64_t earlier : catalog::runs_waiting_for(tx, repository)) {
      catalog::delete_waiting(tx, earlier, repository);
      if (catalog::any_waiting(tx, earlier)) continue;
      auto row = catalog::find_run(tx, earlier);
      if (!row) continue;
      row->state = "dismissed";
      add_line(row->message, "asked anew by run " + std::to_string(run.id));
      catalog::update_run(tx, *row);
    }
    catalog::insert_waiting(tx, run.id, catalog::WaitingRow{repository, why, items});
    return {};
  });
}

}  // namespace stele::gc
