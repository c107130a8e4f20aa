#include "gc/lifecycle/runs.hpp"

#include <pthread.h>

#include <algorithm>

#include "gc/lifecycle/approved_items.hpp"
#include "gc/lifecycle/may_remove.hpp"
#include "gc/pause.hpp"
#include "gc/write_now.hpp"
#include "storage/catalog/collection.hpp"

namespace stele::gc {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::string_view by_schedule = "schedule";
// A schedule that was missed while the server was down is made up for, if it is not longer ago than this.
constexpr std::int64_t latest_seconds = 24 * 60 * 60;

Error not_now(std::string why) {
  return Error(Errc::unavailable, std::move(why));
}

}  // namespace

LifecycleRuns::LifecycleRuns(const RegistryContext& context, RunSettings settings,
                             MirroredRepositories mirrored)
    : context_(context),
      settings_(settings),
      mirrored_(std::move(mirrored)),
      schedule_from_(context.clock.now()),
      thread_([this] { work(); }) {
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

Result<void> may_remove(const RegistryContext& context) {
  if (context.leases.settling())
    return not_now(
        "nothing is removed within one lease (gc.lease) of the server's start, since nobody knows what was "
        "looked at before; try again later, or start with a shorter gc.lease");
  if (const auto claimed = context.release_clock.unconfirmed())
    return not_now(
        "the machine's clock says " + to_string(*claimed) +
        ", more than a day after the last time seen; nothing is removed before `stele clock confirm`");
  const auto paused = Pause(context, "collection").now();
  if (!paused) return paused.error();
  if (*paused) return not_now("collection is paused " + **paused + "; stele gc resume ends that");
  return {};
}

Result<void> LifecycleRuns::may_run() const {
  return may_remove(context_);
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
  const std::string in_force = context_.policy.current()->hash();
  if (plan.policy_hash != in_force)
    co_return Error(Errc::parameter_invalid, "the plan was made by the policy " + plan.policy_hash +
                                                 ", and " + in_force +
                                                 " is in force: make a new plan (stele lifecycle plan)");
  // By such a time nothing would count as used since.
  if (const Timestamp now = context_.clock.now(); plan.made_at > now)
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
  plan.made_at = context_.clock.now();
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
  auto pending = context_.writer.write({"lifecycle"}, [&](sql::Tx& tx) -> Result<void> {
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
        actor, context_.clock.now());
    return {};
  });
  const Result<void> written = co_await pending;
  if (!written) co_return written.error();
  co_return find(run);
}

Result<RunDetails> LifecycleRuns::find(std::int64_t run) const {
  return context_.database.read([&](sql::Session& session) -> Result<RunDetails> {
    auto found = catalog::find_run(session, run);
    if (!found) return Error(Errc::not_found, "there is no lifecycle run " + std::to_string(run));
    return RunDetails{std::move(*found), catalog::list_waiting(session, run)};
  });
}

LifecycleStatus LifecycleRuns::status() const {
  const std::lock_guard lock(mutex_);
  LifecycleStatus now = status_;
  now.running = order_.has_value();
  return now;
}

void LifecycleRuns::work() {
  const auto interrupted =
      write_now(context_.writer, {"lifecycle"}, [&](sql::Tx& tx) -> Result<std::int64_t> {
        return catalog::interrupt_runs(tx, context_.clock.now(),
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
  const auto policy = context_.policy.current();
  const policy::LifecycleSettings& settings = policy->lifecycle()->settings();
  const Timestamp now = lifecycle_time(context_);
  const auto waiting = context_.database.read(
      [](sql::Session& session) -> Result<std::int64_t> { return catalog::count_waiting_runs(session); });
  std::optional<Timestamp> next;
  if (settings.schedule) {
    const auto last =
        context_.database.read([](sql::Session& session) -> Result<std::optional<catalog::RunRow>> {
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
  if (context_.policy.current()->hash() != policy.hash()) return "the policy was changed";
  if (order.scheduled && !policy::is_open(policy.lifecycle()->settings().windows, lifecycle_time(context_)))
    return "the window of time in which lifecycle may run has closed";
  return {};
}

void LifecycleRuns::rest(steady_clock::duration time) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, time, [&] { return stopping_; });
}

Result<std::vector<catalog::RunRow>> list_runs(const RegistryContext& context, std::int64_t before,
                                               std::int64_t limit) {
  return context.database.read([&](sql::Session& session) -> Result<std::vector<catalog::RunRow>> {
    return catalog::list_runs(session, before, limit);
  });
}

}  // namespace stele::gc
