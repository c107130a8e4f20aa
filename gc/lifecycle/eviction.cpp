#include "gc/lifecycle/eviction.hpp"

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <tuple>
#include <vector>

#include "gc/lifecycle/departing.hpp"
#include "gc/lifecycle/may_remove.hpp"
#include "gc/lifecycle/pace.hpp"
#include "gc/write_now.hpp"

namespace stele::gc {
namespace {

constexpr const char* rule_name = "eviction";

// Every rule that speaks of the repository keeps what it keeps; nothing else does.
policy::Lifecycle everything_may_go(const policy::Policy& policy, const RepositoryName& repository) {
  std::vector<policy::LifecycleRule> rules;
  for (const policy::Lifecycle::Rule* const rule : policy.lifecycle()->rules_for(repository.str())) {
    policy::LifecycleRule keeping;
    keeping.name = rule->name;
    for (const policy::Lifecycle::Entry& entry : rule->keep) keeping.keep.push_back(entry.selects);
    if (!keeping.keep.empty()) rules.push_back(std::move(keeping));
  }
  policy::LifecycleEntry all;
  all.everything_else = true;
  policy::LifecycleRule evicting;
  evicting.name = rule_name;
  evicting.expire.push_back(std::move(all));
  rules.push_back(std::move(evicting));
  policy::LifecycleSettings settings;
  settings.max_fraction = 1;
  settings.keep_last = 0;
  return policy::Lifecycle(std::move(settings), rules);
}

// Of what no other repository has, each blob once.
std::uint64_t bytes_of(const policy::Snapshot& snapshot) {
  std::vector<char> used(snapshot.blobs.size(), 0);
  std::uint64_t bytes = 0;
  for (const policy::SnapshotManifest& manifest : snapshot.manifests) {
    bytes += static_cast<std::uint64_t>(manifest.bytes);
    for (std::uint32_t i = 0; i < manifest.blobs.count; ++i)
      used[static_cast<std::size_t>(snapshot.blob_uses[manifest.blobs.first + i])] = 1;
  }
  for (std::size_t i = 0; i < used.size(); ++i) {
    if (used[i] && !snapshot.blobs[i].elsewhere) bytes += static_cast<std::uint64_t>(snapshot.blobs[i].bytes);
  }
  return bytes;
}

class Round {
 public:
  Round(const RegistryContext& context, const EvictionOrder& order, bool asks_by_digest,
        const StillThere& there, const std::stop_token& stop)
      : context_(context),
        order_(order),
        asks_by_digest_(asks_by_digest),
        copies_(context, there),
        stop_(stop),
        policy_(context.policy.current()),
        now_(lifecycle_time(context)),
        judged_at_(context.clock.now()) {}

  Result<Evicted> run() {
    const auto mine = policy::PatternList::compile({order_.prefix + "/**"});
    if (!mine) return mine.error();
    const auto visited =
        visit_repositories(context_, *mine, [&](const RepositoryName& name) { return look(name); });
    if (!visited) return visited.error();
    choose();
    if (!chosen_.empty()) {
      if (auto begun = begin_run(); !begun) return begun.error();
      auto removed = remove();
      if (auto ended = end_run(removed); !ended) return ended.error();
      if (!removed) return removed.error();
    }
    evicted_.bytes_left -= std::min(evicted_.bytes_left, evicted_.bytes);
    if (evicted_.problem.empty() && order_.max_bytes > 0 && evicted_.bytes_left > order_.max_bytes) {
      evicted_.problem =
          order_.what + " has " + std::to_string(evicted_.bytes_left) + " bytes, more than max_size (" +
          std::to_string(order_.max_bytes) +
          "): what is left is protected by a tag rule, kept, held, locked, in use or gone upstream, "
          "or was used meanwhile";
    }
    return evicted_;
  }

 private:
  Result<std::optional<JudgedRepository>> judge(const RepositoryName& name) const {
    auto view = view_repository(context_, *policy_, name);
    if (!view && view.error().code() == Errc::name_unknown) return std::optional<JudgedRepository>();
    if (!view) return view.error();
    policy::Judgement judgement = policy::judge(everything_may_go(*policy_, name), view->snapshot);
    return std::optional<JudgedRepository>(JudgedRepository{std::move(*view), std::move(judgement)});
  }

  Result<void> look(const RepositoryName& name) {
    if (stop_.stop_requested()) return stopped();
    const auto judged = judge(name);
    if (!judged) return judged.error();
    if (!*judged) return {};
    const policy::Snapshot& snapshot = (*judged)->view.snapshot;
    if (!snapshot.pulls_since) pulls_known_ = false;
    if (snapshot.pulls_since) pulls_since_ = std::max(pulls_since_, *snapshot.pulls_since);
    evicted_.bytes_left += bytes_of(snapshot);
    for (DepartingGroup& candidate : departing_groups(**judged)) candidates_.push_back(std::move(candidate));
    return {};
  }

  // The least recently used first, as many as the order says. Pulls that nobody recorded may have been: by
  // age nothing goes then.
  void choose() {
    std::sort(candidates_.begin(), candidates_.end(),
              [](const DepartingGroup& one, const DepartingGroup& other) {
                return std::tie(one.last_used, one.repository, one.tag, one.digest) <
                       std::tie(other.last_used, other.repository, other.tag, other.digest);
              });
    const Timestamp cutoff = now_ + -order_.unused_for.count() * 1'000'000;
    const bool by_age = order_.unused_for.count() > 0 && pulls_known_ && pulls_since_ <= cutoff;
    const std::uint64_t excess = order_.max_bytes > 0 && evicted_.bytes_left > order_.max_bytes
                                     ? evicted_.bytes_left - order_.max_bytes
                                     : 0;
    std::uint64_t freed = 0;
    for (const DepartingGroup& candidate : candidates_) {
      const bool old = by_age && candidate.last_used != policy::never && candidate.last_used < cutoff;
      if (!old && freed >= excess) break;
      if (stop_.stop_requested()) return;
      if (copies_.is_leased(candidate)) continue;  // it would survive, and upstream be asked for nothing
      const auto may = copies_.can_come_back(candidate, asks_by_digest_);
      if (!may) {
        evicted_.problem = order_.what + " keeps what it has: " + may.error().message();
        break;
      }
      if (!*may) {
        ++evicted_.gone_upstream;
        continue;
      }
      freed += candidate.frees;
      chosen_[candidate.repository.str()].insert(candidate.items.begin(), candidate.items.end());
    }
  }

  Result<void> begin_run() {
    run_.state = "running";
    run_.started_by = order_.what;
    run_.policy_hash = policy_->hash();
    run_.begun_at = now_;
    const auto inserted = write_now(context_.writer, {}, [&](sql::Tx& tx) -> Result<std::int64_t> {
      const std::int64_t id = catalog::insert_run(tx, run_);
      note(tx, "lifecycle.begin", "run " + std::to_string(id) + ": eviction of " + order_.what);
      return id;
    });
    if (!inserted) return inserted.error();
    run_.id = *inserted;
    return {};
  }

  Result<void> end_run(const Result<void>& removed) {
    run_.state = removed ? "done" : "interrupted";
    if (!removed) run_.message = removed.error().message();
    run_.ended_at = context_.clock.now();
    return write_now(context_.writer, {}, [&](sql::Tx& tx) -> Result<void> {
      catalog::update_run(tx, run_);
      note(tx, "lifecycle.end", "run " + std::to_string(run_.id) + ": " + run_.state);
      return {};
    });
  }

  void note(sql::Tx& tx, std::string_view action, const std::string& reason) const {
    audit::append(tx, audit::Event{action, {}, {}, std::nullopt, std::nullopt, {}, reason}, actor(),
                  context_.clock.now());
  }

  audit::Actor actor() const { return audit::Actor{Principal::system(), order_.what}; }

  Result<void> remove() {
    for (const auto& [text, items] : chosen_) {
      const auto name = RepositoryName::parse(text);
      if (!name) return name.error();
      auto judged = judge(*name);
      if (!judged) return judged.error();
      if (!*judged) continue;
      ++run_.repositories;
      const std::optional<Approval> approval(Approval{items, judged_at_});
      Pace pace(context_.writer);
      auto batches = departing_batches(**judged, approval, pace.longest());
      for (std::size_t next = 0; next < batches.size();) {
        DepartingBatch batch = take_batch(batches, next, pace.size());
        const bool any_due = std::any_of(batch.manifests.begin(), batch.manifests.end(),
                                         [](const ExpiringManifest& manifest) { return manifest.due; });
        if (!any_due) continue;
        if (stop_.stop_requested()) return stopped();
        if (auto may = may_remove(context_); !may) return may;
        const auto begun = std::chrono::steady_clock::now();
        if (auto gone = remove(**judged, batch); !gone) return gone;
        rest(pace.rest(std::chrono::steady_clock::now() - begun));
      }
    }
    return {};
  }

  void rest(std::chrono::steady_clock::duration time) const {
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any().wait_for(lock, stop_, time, [] { return false; });
  }

  Result<void> remove(const JudgedRepository& judged, DepartingBatch& batch) {
    ExpiryBatch expiry{judged.view.name, std::move(batch.manifests), std::move(batch.edges), judged.view.seen,
                       run_.id,          context_.clock.now(),       policy_->hash(),        actor()};
    for (ExpiringManifest& manifest : expiry.manifests) {
      manifest.reason = "making room in " + order_.what + ", it can be fetched again";
      for (ExpiringTag& tag : manifest.tags) tag.reason = manifest.reason;
    }
    const auto expired = sync_wait(expire(context_, std::move(expiry)));
    if (!expired && expired.error().code() == Errc::refused_by_policy) return {};  // it stays
    if (!expired) return expired.error();
    run_.removed += static_cast<std::int64_t>(expired->removed);
    run_.untagged += static_cast<std::int64_t>(expired->untagged);
    run_.survived += static_cast<std::int64_t>(expired->survived);
    for (const std::string& reason : expired->reasons) {
      if (run_.message.size() < 2000) run_.message += judged.view.name.str() + ": stays: " + reason + "\n";
    }
    evicted_.manifests += expired->removed;
    for (std::size_t i = 0; i < expired->gone.size(); ++i) {
      if (!expired->gone[i] || batch.frees_bytes[i] <= 0) continue;
      run_.bytes += batch.frees_bytes[i];
      evicted_.bytes += static_cast<std::uint64_t>(batch.frees_bytes[i]);
    }
    return {};
  }

  static Error stopped() { return Error(Errc::unavailable, "the server stopped"); }

  const RegistryContext& context_;
  const EvictionOrder& order_;
  const bool asks_by_digest_;
  UpstreamCopies copies_;
  const std::stop_token& stop_;
  const std::shared_ptr<const policy::Policy> policy_;
  const Timestamp now_;
  const Timestamp judged_at_;  // by the clock that stamps pushes and pulls
  bool pulls_known_ = true;
  Timestamp pulls_since_ = policy::never;
  std::vector<DepartingGroup> candidates_;
  std::map<std::string, ApprovedItems> chosen_;  // by repository
  catalog::RunRow run_;
  Evicted evicted_;
};

}  // namespace

Result<Evicted> evict(const RegistryContext& context, const EvictionOrder& order, bool asks_by_digest,
                      const StillThere& there, const std::stop_token& stop) {
  if (auto may = may_remove(context); !may) return may.error();
  return Round(context, order, asks_by_digest, there, stop).run();
}

}  // namespace stele::gc
