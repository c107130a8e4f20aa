#include "gc/lifecycle/plan.hpp"

#include <algorithm>

#include "base/printable.hpp"

namespace stele::gc {
namespace {

using policy::no_row;

constexpr std::int64_t names_per_step = 1000;

const std::string& name_of_tag(const policy::Snapshot& snapshot, policy::RowIndex tag) {
  return snapshot.tags[static_cast<std::size_t>(tag)].name;
}

std::string with_size(std::string_view text) {
  return std::to_string(text.size()) + ":" + std::string(text);
}

}  // namespace

PlanHash::PlanHash(const std::string& policy_hash) : hasher_(DigestAlgorithm::sha256) {
  const std::string head = "stele lifecycle plan 1\n" + with_size(policy_hash) + "\n";
  hasher_.update(as_bytes(head));
}

void PlanHash::add(std::string_view repository, std::string_view tag, std::string_view digest) {
  const std::string line = with_size(repository) + with_size(tag) + with_size(digest) + "\n";
  hasher_.update(as_bytes(line));
}

std::string PlanHash::finish() {
  return hasher_.finish().str();
}

Result<std::optional<JudgedRepository>> judge_repository(const RegistryContext& context,
                                                         const policy::Policy& policy,
                                                         const RepositoryName& name,
                                                         const std::optional<Timestamp>& at) {
  if (!policy::needs_of(policy.lifecycle()->rules_for(name.str())).any_expire)
    return std::optional<JudgedRepository>();
  auto view = view_repository(context, policy, name, at);
  if (!view) return view.error();
  policy::Judgement judgement = policy::judge(*policy.lifecycle(), view->snapshot);
  return std::optional<JudgedRepository>(JudgedRepository{std::move(*view), std::move(judgement)});
}

PlannedItem item_of(const JudgedRepository& judged, const policy::PlanItem& item) {
  const policy::Snapshot& snapshot = judged.view.snapshot;
  PlannedItem planned{snapshot.repository,
                      {},
                      {},
                      item.verdict,
                      judged.judgement.rule_of(item),
                      judged.judgement.reason_of(item),
                      std::nullopt,
                      std::nullopt,
                      item.frees_bytes};
  Timestamp since = snapshot.now;
  if (item.manifest != no_row) {
    planned.digest = judged.view.digests.text(item.manifest);
    const policy::SnapshotManifest& manifest = snapshot.manifests[static_cast<std::size_t>(item.manifest)];
    since = std::max(manifest.pushed_at, manifest.untagged_at);
  }
  if (item.tag != no_row) {
    const policy::SnapshotTag& tag = snapshot.tags[static_cast<std::size_t>(item.tag)];
    planned.tag = tag.name;
    since = tag.pushed_at;
  }
  if (since != policy::never)
    planned.age_seconds =
        std::max<std::int64_t>(0, (snapshot.now.microseconds - since.microseconds) / 1'000'000);
  if (item.last_used != policy::never) planned.last_used = item.last_used;
  return planned;
}

// Of a manifest that goes with its last tag. What it frees stands with the tag.
PlannedItem untagged_item_of(const JudgedRepository& judged, const policy::PlanItem& last_tag,
                             const std::string& reason) {
  PlannedItem planned = item_of(judged, last_tag);
  planned.tag = {};
  planned.reason = reason;
  planned.frees_bytes = 0;
  return planned;
}

std::string why_stopped(const policy::Lifecycle& lifecycle, const policy::Judgement& judgement) {
  if (!judgement.exceeds_fraction) return {};
  const auto percent = [](double part) { return std::to_string(static_cast<int>(part * 100)) + " %"; };
  return std::to_string(judgement.manifests_expiring) + " of " + std::to_string(judgement.manifests) +
         " manifests would go, more than max_fraction allows (" + percent(lifecycle.settings().max_fraction) +
         "); look at the plan, then stele lifecycle approve or dismiss";
}

Result<void> visit_repositories(const RegistryContext& context, const policy::PatternList& wanted,
                                const std::function<Result<void>(const RepositoryName&)>& visit) {
  for (std::string last;;) {
    const auto names = context.database.read([&](sql::Session& session) -> Result<std::vector<std::string>> {
      return catalog::list_repositories(session, last, names_per_step);
    });
    if (!names) return names.error();
    for (const std::string& text : *names) {
      if (!wanted.matches(text)) continue;
      const auto name = RepositoryName::parse(text);
      if (!name) return name.error();
      if (auto visited = visit(*name); !visited) return visited;
    }
    if (names->size() < static_cast<std::size_t>(names_per_step)) return {};
    last = names->back();
  }
}

Result<PlanSummary> make_plan(const RegistryContext& context, const policy::Policy& policy,
                              const policy::PatternList& wanted,
                              const std::function<Result<void>(const PlannedItem&)>& take,
                              const std::optional<Timestamp>& at) {
  PlanSummary summary;
  summary.made_at = context.clock.now();
  summary.at = at;
  if (at && *at < lifecycle_time(context))
    return Error(Errc::parameter_invalid, to_string(*at) +
                                              " is over, and what was pulled and tagged then is not "
                                              "known: plan for a time to come");
  summary.policy_hash = policy.hash();
  PlanHash hash(policy.hash());
  const auto visited = visit_repositories(context, wanted, [&](const RepositoryName& name) -> Result<void> {
    const auto judged = judge_repository(context, policy, name, at);
    if (!judged && judged.error().code() == Errc::name_unknown) return {};  // deleted meanwhile
    if (!judged) return judged.error();
    if (!*judged) return {};
    ++summary.repositories;
    const policy::Judgement& judgement = (*judged)->judgement;
    summary.manifests += judgement.manifests;
    summary.expiring += judgement.items_expiring;
    summary.blocked += judgement.items_blocked;
    summary.frees_bytes += judgement.bytes_freed;
    if (std::string why = why_stopped(*policy.lifecycle(), judgement); !why.empty())
      summary.stopped.push_back({name.str(), std::move(why)});
    const auto add = [&](const PlannedItem& planned) {
      if (planned.verdict == policy::Verdict::expire)
        hash.add(planned.repository, planned.tag, planned.digest);
      return take(planned);
    };
    for (const policy::PlanItem& item : judgement.items) {
      if (auto taken = add(item_of(**judged, item)); !taken) return taken;
    }
    for (const policy::Removal& removal : judgement.removals) {
      const policy::PlanItem& item = judgement.items[static_cast<std::size_t>(removal.item)];
      if (item.tag == no_row) continue;
      const std::string reason =
          "last tag expired: " + printable(name_of_tag((*judged)->view.snapshot, item.tag));
      if (auto taken = add(untagged_item_of(**judged, item, reason)); !taken) return taken;
    }
    return {};
  });
  if (!visited) return visited.error();
  summary.hash = hash.finish();
  return summary;
}

}  // namespace stele::gc
