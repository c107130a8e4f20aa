// What administrators do in a history, and lifecycle.
#include <algorithm>
#include <thread>

#include "registry/in_use.hpp"
#include "registry/retention.hpp"
#include "tests/unit/gc/histories/history.hpp"

namespace stele::histories_test {
namespace {

using lifecycle_test::name;

}  // namespace

void History::report(const std::string& cluster,
                     const std::set<std::pair<std::string, std::size_t>>& running) {
  NewInUseReport told{ClusterName::parse(cluster).value(), {}, 3600, true, {}, false, world_.actor};
  for (const auto& [repository, content] : running)
    told.images.push_back(repository + "@" + contents()[content].digest.str());
  const auto taken = sync_wait(InUse(world_.context()).report(std::move(told)));
  expect(taken.has_value(), "the report was refused");
  model_.in_use[cluster] = running;
}

void History::report_in_use() {
  std::set<std::pair<std::string, std::size_t>> running;
  for (std::size_t i = below(4); i > 0; --i) {
    const std::string repository = any_repository();
    const std::size_t content = any_live(repository);
    if (model_.has(repository, content)) running.emplace(repository, content);
  }
  const std::string cluster = below(2) == 0 ? "prod" : "test";
  std::string what = "cluster " + cluster + " runs";
  for (const auto& [repository, content] : running) what += " " + named(repository, content);
  begin(what);
  report(cluster, running);
}

void History::set_hold() {
  if (model_.holds.size() >= 3) return release_hold();
  const std::string repository = any_repository();
  const std::size_t content = any_live(repository);
  if (!model_.has(repository, content)) return;
  Hold hold{repository, content, ""};
  std::optional<Reference> reference = Reference(contents()[content].digest);
  const auto tags = model_.tags_of(repository, content);
  const std::size_t kind = below(8);
  if (kind < 2 && !tags.empty()) {
    hold.tag = *tags.begin();
    reference = lifecycle_test::tag(hold.tag);
  } else if (kind == 2) {
    hold.content.reset();
    reference.reset();
  }
  begin("hold " + (hold.content ? named(repository, content) : repository) + " " + hold.tag);
  const auto set =
      sync_wait(Retention(world_.context())
                    .set_hold({"trial", "7", "court", name(repository), reference, world_.actor}));
  expect(set.has_value(), "the hold was refused");
  model_.holds[set->id] = hold;
}

void History::release_hold() {
  if (model_.holds.empty()) return;
  const auto at = any_of_map(model_.holds, below(model_.holds.size()));
  begin("release the hold on " + at->second.repository);
  const auto done = sync_wait(Retention(world_.context()).release_hold(at->first, "over", world_.actor));
  expect(done.has_value(), "the release was refused");
  model_.holds.erase(at);
}

void History::use(const Rules& rules) {
  world_.load(policy_text(rules));
  model_.rules = &rules;
}

void History::change_rules() {
  const std::size_t chosen = below(all_rules().size());
  begin("rules " + std::to_string(chosen));
  use(all_rules()[chosen]);
}

void History::plan() {
  begin("plan");
  const std::int64_t events = world_.count("events");
  const auto made = world_.plan();
  expect(world_.count("events") == events, "a plan changed something");
  std::map<std::string, Items> expected;
  std::set<std::string> stopped;
  for (const auto& [repository, in] : model_.repositories) {
    const Verdicts verdicts = model_.judge(repository);
    if (!verdicts.items.empty()) expected[repository] = verdicts.items;
    if (verdicts.exceeds) stopped.insert(repository);
  }
  for (const auto& [repository, in] : model_.repositories) {
    const auto found = made.approved.items.find(repository);
    compare(found == made.approved.items.end() ? Items() : found->second, expected[repository],
            "items of the plan for " + repository);
  }
  expect(made.summary.stopped.size() == stopped.size(), "the plan would stop elsewhere");
  plans_.push_back(made.approved);
  if (plans_.size() > 3) plans_.erase(plans_.begin());
}

void History::apply_plan() {
  if (plans_.empty()) return plan();
  gc::ApprovedPlan approved = plans_[below(plans_.size())];
  if (below(3) == 0) {  // not all of it
    for (auto& [repository, items] : approved.items)
      std::erase_if(items, [&](const auto&) { return below(3) == 0; });
  }
  approved.may_exceed = below(2) == 0;
  begin(std::string("apply a plan") + (approved.may_exceed ? " that may exceed" : ""));
  world_.flush();
  model_.write_pulls();
  const auto done = sync_wait(world_.runs().apply(approved, world_.actor));
  if (approved.policy_hash != world_.policy.current()->hash()) {
    expect(!done && done.error().code() == Errc::parameter_invalid, "a plan of other rules was taken");
    return;
  }
  std::map<std::string, ApprovedThen> then;
  for (const auto& [repository, items] : approved.items)
    then[repository] = {items, approved.made_at.microseconds / 1'000'000};
  expect_run(done, &then, approved.may_exceed);
}

void History::run_lifecycle() {
  begin("run");
  world_.flush();
  model_.write_pulls();
  expect_run(sync_wait(world_.runs().run(world_.actor)), nullptr, false);
}

void History::answer_waiting() {
  if (model_.waiting.empty()) return;
  const auto at = any_of_map(model_.waiting, below(model_.waiting.size()));
  const std::int64_t run = at->first;
  if (below(3) == 0) {
    begin("dismiss run " + std::to_string(run));
    const auto done = sync_wait(world_.runs().dismiss(run, "no", world_.actor));
    expect(done.has_value() && done->run.state == "dismissed", "it could not be dismissed");
    model_.waiting.erase(at);
    return;
  }
  begin("approve run " + std::to_string(run));
  world_.flush();
  model_.write_pulls();
  auto approved = at->second;
  Seconds earliest = model_.now;  // by which all of it is looked at
  for (const auto& [repository, asked] : approved) earliest = std::min(earliest, asked.made_at);
  for (auto& [repository, asked] : approved) asked.made_at = earliest;
  expect_run(sync_wait(world_.runs().approve(run, world_.actor)), &approved, true);
  if (model_.now >= model_.settled_at) model_.waiting.erase(run);
}

void History::keep_waiting(std::int64_t run, const std::string& repository, const Items& items) {
  for (auto& [other, asked] : model_.waiting) asked.erase(repository);
  std::erase_if(model_.waiting, [](const auto& asked) { return asked.second.empty(); });
  model_.waiting[run][repository] = {items, model_.now};
}

void History::expect_run(const Result<gc::RunDetails>& done,
                         const std::map<std::string, ApprovedThen>* approved, bool may_exceed) {
  if (model_.now < model_.settled_at) {
    expect(!done && done.error().code() == Errc::unavailable, "it ran within a lease of the start");
    return;
  }
  if (!done) fail(done.error().message());
  const catalog::RunRow& run = done->run;
  if (!run.message.empty()) begin("run " + std::to_string(run.id) + " says: " + run.message);
  auto found = trash_of_run(run.id);
  std::int64_t manifests = 0, names = 0;
  bool waits = false;
  std::vector<std::string> repositories;
  for (const auto& [repository, in] : model_.repositories) repositories.push_back(repository);
  for (const std::string& repository : repositories) {
    if (approved && !approved->contains(repository)) continue;
    const Verdicts verdicts = model_.judge(repository);
    if (verdicts.exceeds && !may_exceed) {
      keep_waiting(run.id, repository, verdicts.items);
      waits = true;
      continue;
    }
    const ApprovedThen* then = approved ? &approved->at(repository) : nullptr;
    const Removed removed = model_.carried_out(repository, verdicts, then);
    manifests += static_cast<std::int64_t>(removed.manifests.size());
    counts_.survived += static_cast<std::int64_t>(verdicts.going.size() - removed.manifests.size());
    for (const auto* group : {&removed.manifests, &removed.names}) {
      for (const auto& [content, tags] : *group) names += static_cast<std::int64_t>(tags.size());
    }
    adopt(repository, removed, found);
  }
  if (!found.empty()) {
    const Trashed& item = found.begin()->second;
    std::string tags;
    for (const std::string& tag : item.tags) tags += " " + tag;
    fail((item.whole ? "it removed " : "it removed names of ") + named(item.repository, item.content) + tags +
         ", which should stay");
  }
  counts_.removed += manifests;
  counts_.untagged += names;
  counts_.waited += waits;
  expect(run.state == (waits ? "waiting" : "done"), "the run is " + run.state + ": " + run.message);
  expect(run.removed == manifests && run.untagged == names,
         "it says that it removed " + std::to_string(run.removed) + " and " + std::to_string(run.untagged) +
             ", not " + std::to_string(manifests) + " and " + std::to_string(names));
}

std::map<std::int64_t, Trashed> History::trash_of_run(std::int64_t run) {
  const auto page = sync_wait(Trash(world_.context()).list({std::nullopt, run, 0, Trash::largest_page}));
  expect(page.has_value() && page->next == 0, "the trash of the run cannot be listed");
  std::map<std::int64_t, Trashed> found;
  for (const TrashEntry& entry : page->items) {
    Trashed item{entry.item.name.str(),
                 place_of(entry.item.digest.str()),
                 entry.item.media_type.has_value(),
                 {},
                 run,
                 entry.item.erase_after.microseconds / 1'000'000,
                 {}};
    for (const catalog::TrashedTag& tag : entry.tags) item.tags.insert(tag.tag.str());
    found.emplace(entry.item.id, std::move(item));
  }
  return found;
}

// What was to go must stand in the trash, just so; then the model has it there too.
void History::adopt(const std::string& repository, const Removed& removed,
                    std::map<std::int64_t, Trashed>& found) {
  const auto take = [&](std::size_t content, const std::set<std::string>& tags, bool whole) {
    const auto item = std::find_if(found.begin(), found.end(), [&](const auto& entry) {
      const Trashed& one = entry.second;
      return one.repository == repository && one.content == content && one.whole == whole;
    });
    if (item == found.end())
      fail((whole ? "it left " : "it left names of ") + named(repository, content) + ", which was to go");
    compare(item->second.tags, tags, "names that went with " + named(repository, content));
    expect(item->second.erase_after == model_.now + trash_for, "it stays in the trash for another time");
    if (whole) item->second.was = model_.at(repository).manifests.at(content);
    model_.trash.insert(found.extract(item));
  };
  for (const auto& [content, tags] : removed.manifests) take(content, tags, true);
  for (const auto& [content, tags] : removed.names) take(content, tags, false);
  model_.apply(repository, removed);
}

// A run, and the end of the process in the middle of it.
void History::interrupt_run() {
  world_.flush();
  model_.write_pulls();
  gc::LifecycleRuns& runs = world_.runs();
  std::optional<Result<gc::RunDetails>> done;
  std::thread client([&] { done = sync_wait(runs.run(world_.actor)); });
  const std::size_t patience = below(3000);
  std::this_thread::sleep_for(std::chrono::microseconds(patience));
  runs.stop();
  client.join();
  world_.stop_runs();
  if (!*done) {
    expect(done->error().code() == Errc::unavailable, "the run failed: " + done->error().message());
    return;
  }
  const catalog::RunRow& run = (**done).run;
  if (run.state == "interrupted") ++counts_.interrupted;
  std::set<std::string> waiting;
  for (const catalog::WaitingRow& row : (**done).waiting) waiting.insert(row.repository);
  auto found = trash_of_run(run.id);
  std::vector<std::string> repositories;
  for (const auto& [repository, in] : model_.repositories) repositories.push_back(repository);
  for (const std::string& repository : repositories) {
    const Verdicts verdicts = model_.judge(repository);
    if (waiting.contains(repository)) {
      expect(verdicts.exceeds, repository + " waits for nothing");
      keep_waiting(run.id, repository, verdicts.items);
      continue;
    }
    if (verdicts.exceeds) continue;
    // As far as it came; what is not in the trash must still be there, as check() will say.
    Removed removed = model_.carried_out(repository, verdicts, nullptr);
    const auto went = [&](std::size_t content, bool whole) {
      return std::any_of(found.begin(), found.end(), [&](const auto& entry) {
        const Trashed& one = entry.second;
        return one.repository == repository && one.content == content && one.whole == whole;
      });
    };
    std::erase_if(removed.manifests, [&](const auto& one) { return !went(one.first, true); });
    std::erase_if(removed.names, [&](const auto& one) { return !went(one.first, false); });
    counts_.removed += static_cast<std::int64_t>(removed.manifests.size());
    adopt(repository, removed, found);
  }
  expect(found.empty(), "the run that was cut off removed what should stay");
  check(true);
}

}  // namespace stele::histories_test
