#include "gc/lifecycle/runs.hpp"

#include <pthread.h>

#include <algorithm>

#include "gc/lifecycle/approved_items.hpp"
#include "gc/lifecycle/may_remove.hpp"
#include "gc/pause.hpp"
#include "gc/write_now.hpp"
#include "registry/expiry.hpp"
#include "storage/catalog/collection.hpp"

namespace stele::gc {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::string_view by_schedule = "schedule";
constexpr milliseconds longest_rest(1000);
constexpr std::size_t most_reasons = 20;
// A schedule that was missed while the server was down is made up for, if it is not longer ago than this.
constexpr std::int64_t latest_seconds = 24 * 60 * 60;

Error not_now(std::string why) {
  return Error(Errc::unavailable, std::move(why));
}

Result<RunDetails> details_of(const RegistryParts& parts, std::int64_t id) {
  return parts.database.read([&](sql::Session& session) -> Result<RunDetails> {
    auto run = catalog::find_run(session, id);
    if (!run) return Error(Errc::not_found, "there is no lifecycle run " + std::to_string(id));
    return RunDetails{std::move(*run), catalog::list_waiting(session, id)};
  });
}

void add_line(std::string& message, const std::string& line) {
  message += (message.empty() ? "" : "\n") + line;
}

}  // namespace

template <class F>
auto LifecycleRuns::write(F body) const {
  return write_now(parts_.writer, {"lifecycle"}, std::move(body));
}

LifecycleRuns::LifecycleRuns(const RegistryParts& parts, RunSettings settings)
    : parts_(parts), settings_(settings), schedule_from_(parts.clock.now()), thread_([this] { work(); }) {
  pthread_setname_np(thread_.native_handle(), "stele-cycle");
}

LifecycleRuns::~LifecycleRuns() {
  stop();
}

void LifecycleRuns::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

Result<void> may_remove(const RegistryParts& parts) {
  if (parts.leases.settling())
    return not_now(
        "nothing is removed within one lease (gc.lease) of the server's start, since nobody knows what was "
        "looked at before; try again later, or start with a shorter gc.lease");
  if (const auto claimed = parts.release_clock.unconfirmed())
    return not_now(
        "the machine's clock says " + to_string(*claimed) +
        ", more than a day after the last time seen; nothing is removed before `stele clock confirm`");
  const auto paused = Pause(parts, "collection").now();
  if (!paused) return paused.error();
  if (*paused) return not_now("collection is paused " + **paused + "; stele gc resume ends that");
  return {};
}

Result<void> LifecycleRuns::may_run() const {
  return may_remove(parts_);
}

Task<Result<RunDetails>> LifecycleRuns::ask(Order order) {
  if (auto may = may_run(); !may) co_return may.error();
  Completion<Result<RunDetails>> done;
  order.done = done;
  {
    const std::lock_guard lock(mutex_);
    if (order_ || stopping_)
      co_return not_now("another lifecycle run is under way; try again when it has ended");
    order_ = std::move(order);
  }
  changed_.notify_all();
  auto pending = done.pending();
  co_return co_await pending;
}

Task<Result<RunDetails>> LifecycleRuns::run(audit::Actor actor) {
  Order order;
  order.started_by = actor.principal.name();
  order.actor = std::move(actor);
  co_return co_await ask(std::move(order));
}

Task<Result<RunDetails>> LifecycleRuns::apply(ApprovedPlan plan, audit::Actor actor) {
  const std::string in_force = parts_.policy.current()->hash();
  if (plan.policy_hash != in_force)
    co_return Error(Errc::parameter_invalid, "the plan was made by the policy " + plan.policy_hash +
                                                 ", and " + in_force +
                                                 " is in force: make a new plan (stele lifecycle plan)");
  // By such a time nothing would count as used since.
  if (const Timestamp now = parts_.clock.now(); plan.made_at > now)
    co_return Error(Errc::parameter_invalid, "the plan says that it was made at " + to_string(plan.made_at) +
                                                 ", and now it is " + to_string(now) +
                                                 ": make a new plan (stele lifecycle plan)");
  Order order;
  order.started_by = actor.principal.name();
  order.actor = std::move(actor);
  order.plan = std::move(plan);
  co_return co_await ask(std::move(order));
}

Task<Result<RunDetails>> LifecycleRuns::approve(std::int64_t run, audit::Actor actor) {
  const auto waiting = find(run);
  if (!waiting) co_return waiting.error();
  if (waiting->waiting.empty())
    co_return Error(Errc::parameter_invalid, "nothing waits in lifecycle run " + std::to_string(run));
  Order order;
  order.started_by = actor.principal.name();
  order.actor = std::move(actor);
  order.answers = run;
  ApprovedPlan plan;
  plan.hash = waiting->run.plan_hash;
  plan.policy_hash = waiting->run.policy_hash;
  plan.may_exceed = true;
  plan.made_at = parts_.clock.now();
  for (const catalog::WaitingRow& row : waiting->waiting) {
    auto asked = read_items(row.plan);
    if (!asked) co_return asked.error();
    plan.made_at = std::min(plan.made_at, asked->made_at.value_or(waiting->run.begun_at));
    plan.items.emplace(row.repository, std::move(asked->items));
  }
  order.plan = std::move(plan);
  co_return co_await ask(std::move(order));
}

Task<Result<RunDetails>> LifecycleRuns::dismiss(std::int64_t run, std::string reason, audit::Actor actor) {
  auto pending = parts_.writer.write({"lifecycle"}, [&](sql::Tx& tx) -> Result<void> {
    auto row = catalog::find_run(tx, run);
    if (!row) return Error(Errc::not_found, "there is no lifecycle run " + std::to_string(run));
    if (row->state != "waiting")
      return Error(Errc::parameter_invalid, "nothing waits in lifecycle run " + std::to_string(run));
    row->state = "dismissed";
    add_line(row->message, "dismissed by " + actor.principal.name() + (reason.empty() ? "" : ": " + reason));
    catalog::update_run(tx, *row);
    catalog::delete_waiting(tx, run);
    audit::append(
        tx, audit::Event{"lifecycle.dismiss", {}, {}, std::nullopt, std::nullopt, {}, std::to_string(run)},
        actor, parts_.clock.now());
    return {};
  });
  const Result<void> written = co_await pending;
  if (!written) co_return written.error();
  co_return find(run);
}

Result<RunDetails> LifecycleRuns::find(std::int64_t run) const {
  return details_of(parts_, run);
}

LifecycleStatus LifecycleRuns::status() const {
  const std::lock_guard lock(mutex_);
  LifecycleStatus now = status_;
  now.running = order_.has_value();
  return now;
}

void LifecycleRuns::work() {
  const auto interrupted = write([&](sql::Tx& tx) -> Result<std::int64_t> {
    return catalog::interrupt_runs(tx, parts_.clock.now(),
                                   "the server stopped; what was left is judged anew by the next run");
  });
  std::unique_lock lock(mutex_);
  if (!interrupted) status_.problem = interrupted.error().message();
  for (;;) {
    changed_.wait_for(lock, settings_.look_at_schedule, [&] { return stopping_ || order_; });
    if (stopping_) break;
    lock.unlock();
    look_at_schedule();
    lock.lock();
    if (!order_) continue;
    const Order order = *order_;
    lock.unlock();
    auto outcome = carry_out(order);
    lock.lock();
    if (!outcome) status_.problem = outcome.error().message();
    order_.reset();
    if (order.done) Completion<Result<RunDetails>>(*order.done).set(std::move(outcome));
  }
  if (order_ && order_->done)
    Completion<Result<RunDetails>>(*order_->done).set(Result<RunDetails>(not_now("the server is stopping")));
}

void LifecycleRuns::look_at_schedule() {
  const auto policy = parts_.policy.current();
  const policy::LifecycleSettings& settings = policy->lifecycle()->settings();
  const Timestamp now = lifecycle_time(parts_);
  const auto waiting = parts_.database.read(
      [](sql::Session& session) -> Result<std::int64_t> { return catalog::count_waiting_runs(session); });
  std::optional<Timestamp> next;
  if (settings.schedule) {
    const auto last =
        parts_.database.read([](sql::Session& session) -> Result<std::optional<catalog::RunRow>> {
          return catalog::last_run_of(session, by_schedule);
        });
    if (!last) return;
    Timestamp from = *last ? (*last)->begun_at : schedule_from_;
    from = std::max(from, now + -latest_seconds * 1'000'000);
    next = settings.schedule->next(from);
  }
  const bool due = next && *next <= now && policy::is_open(settings.windows, now) && may_run();
  const std::lock_guard lock(mutex_);
  status_.next = next;
  if (waiting) status_.waiting = static_cast<std::size_t>(*waiting);
  if (!due || order_ || stopping_) return;
  Order order;
  order.started_by = by_schedule;
  order.actor = audit::Actor{Principal::system(), "lifecycle"};
  order.scheduled = true;
  order_ = std::move(order);
}

std::string LifecycleRuns::why_end(const Order& order, const policy::Policy& policy) const {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return "the server stopped";
  }
  if (auto may = may_run(); !may) return may.error().message();
  if (parts_.policy.current()->hash() != policy.hash()) return "the policy was changed";
  if (order.scheduled && !policy::is_open(policy.lifecycle()->settings().windows, lifecycle_time(parts_)))
    return "the window of time in which lifecycle may run has closed";
  return {};
}

void LifecycleRuns::rest(steady_clock::duration worked) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, std::min<steady_clock::duration>(worked, longest_rest), [&] { return stopping_; });
}

Result<RunDetails> LifecycleRuns::carry_out(const Order& order) {
  const auto policy = parts_.policy.current();
  catalog::RunRow run;
  run.state = "running";
  run.started_by = order.started_by;
  run.policy_hash = policy->hash();
  if (order.plan) run.plan_hash = order.plan->hash;
  // By the clock that the schedule goes by, so that one time is not met twice.
  run.begun_at = lifecycle_time(parts_);
  const auto inserted = write([&](sql::Tx& tx) -> Result<std::int64_t> {
    const std::int64_t id = catalog::insert_run(tx, run);
    audit::append(
        tx,
        audit::Event{"lifecycle.begin", {}, {}, std::nullopt, std::nullopt, {}, "run " + std::to_string(id)},
        order.actor, parts_.clock.now());
    return id;
  });
  if (!inserted) return inserted.error();
  run.id = *inserted;
  const auto begun = steady_clock::now();
  carry_out_in(order, run, policy);
  run.ended_at = parts_.clock.now();
  const auto ended = write([&](sql::Tx& tx) -> Result<void> {
    catalog::update_run(tx, run);
    audit::append(tx,
                  audit::Event{"lifecycle.end",
                               {},
                               {},
                               std::nullopt,
                               std::nullopt,
                               {},
                               "run " + std::to_string(run.id) + ": " + run.state},
                  order.actor, parts_.clock.now());
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
  return details_of(parts_, run.id);
}

void LifecycleRuns::carry_out_in(const Order& order, catalog::RunRow& run,
                                 const std::shared_ptr<const policy::Policy>& policy) {
  run.state = "done";
  const auto everywhere = policy::PatternList::compile({"**"}).value();
  bool waits = false;
  const auto visited =
      visit_repositories(parts_, everywhere, [&](const RepositoryName& name) -> Result<void> {
        if (order.plan && !order.plan->items.contains(name.str())) return {};
        if (std::string why = why_end(order, *policy); !why.empty()) return not_now(std::move(why));
        const auto waiting = run_repository(order, run, *policy, name);
        if (!waiting && waiting.error().code() == Errc::name_unknown) return {};  // deleted meanwhile
        if (!waiting) return waiting.error();
        waits = waits || *waiting;
        return {};
      });
  if (waits) run.state = "waiting";
  if (visited) return;
  const bool ended = visited.error().code() == Errc::unavailable;
  if (!waits) run.state = ended ? "interrupted" : "failed";
  add_line(run.message,
           visited.error().message() + (ended ? "; what was left is judged anew by the next run" : ""));
}

// True: it waits for somebody.
Result<bool> LifecycleRuns::run_repository(const Order& order, catalog::RunRow& run,
                                           const policy::Policy& policy, const RepositoryName& name) {
  const Timestamp judged_at = parts_.clock.now();
  const auto judged = judge_repository(parts_, policy, name);
  if (!judged) return judged.error();
  if (!*judged) return false;
  const policy::Judgement& judgement = (*judged)->judgement;
  ++run.repositories;
  run.blocked += static_cast<std::int64_t>(judgement.items_blocked);
  {
    const std::lock_guard lock(mutex_);
    status_.expired += judgement.items_expiring;
    status_.blocked += judgement.items_blocked;
    status_.kept += judgement.items.size() - judgement.items_expiring - judgement.items_blocked;
  }
  std::string why;
  if (!order.plan || !order.plan->may_exceed) why = why_stopped(*policy.lifecycle(), judgement);
  const auto so_far = static_cast<std::uint64_t>(run.removed);
  if (why.empty() && so_far + judgement.manifests_expiring > policy.lifecycle()->settings().max_count &&
      !(order.plan && order.plan->may_exceed)) {
    why = std::to_string(judgement.manifests_expiring) + " manifests would go, and with the " +
          std::to_string(so_far) + " before them the run would remove more than max_count allows (" +
          std::to_string(policy.lifecycle()->settings().max_count) +
          "); look at the plan, then stele lifecycle approve or dismiss";
  }
  if (!why.empty()) {
    if (auto kept = keep_waiting(run, **judged, judged_at, why); !kept) return kept.error();
    return true;
  }
  std::optional<Approval> approval;
  if (order.plan) approval.emplace(order.plan->items.at(name.str()), order.plan->made_at);
  auto batches = departing_batches(**judged, approval, settings_.batch);
  for (DepartingBatch& batch : batches) {
    if (std::string ends = why_end(order, policy); !ends.empty()) return not_now(std::move(ends));
    const auto begun = steady_clock::now();
    if (auto expired = expire_batch(order, run, **judged, policy, batch); !expired) return expired.error();
    rest(steady_clock::now() - begun);
  }
  return false;
}

Result<void> LifecycleRuns::expire_batch(const Order& order, catalog::RunRow& run,
                                         const JudgedRepository& judged, const policy::Policy& policy,
                                         DepartingBatch& batch) {
  ExpiryBatch expiry{judged.view.name,
                     std::move(batch.manifests),
                     std::move(batch.edges),
                     judged.view.seen,
                     run.id,
                     parts_.clock.now() + policy.lifecycle()->settings().trash_for * 1'000'000,
                     policy.hash(),
                     order.actor};
  const std::size_t count = expiry.manifests.size();
  const auto expired = sync_wait(expire(parts_, std::move(expiry)));
  if (!expired && expired.error().code() == Errc::refused_by_policy) {
    // Looked at and found free, and then refused all the same: it stays, and the next run looks again.
    run.survived += static_cast<std::int64_t>(count);
    add_line(run.message, judged.view.name.str() + ": " + expired.error().message());
    return {};
  }
  if (!expired) return expired.error();
  run.removed += static_cast<std::int64_t>(expired->removed);
  run.untagged += static_cast<std::int64_t>(expired->untagged);
  run.survived += static_cast<std::int64_t>(expired->survived);
  for (std::size_t i = 0; i < expired->gone.size(); ++i) {
    if (expired->gone[i]) run.bytes += batch.frees_bytes[i];
  }
  std::size_t lines = static_cast<std::size_t>(std::count(run.message.begin(), run.message.end(), '\n'));
  for (const std::string& reason : expired->reasons) {
    if (++lines <= most_reasons) add_line(run.message, judged.view.name.str() + ": stays: " + reason);
  }
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
  return write([&](sql::Tx& tx) -> Result<void> {
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

Result<std::vector<catalog::RunRow>> list_runs(const RegistryParts& parts, std::int64_t before,
                                               std::int64_t limit) {
  return parts.database.read([&](sql::Session& session) -> Result<std::vector<catalog::RunRow>> {
    return catalog::list_runs(session, before, limit);
  });
}

}  // namespace stele::gc
