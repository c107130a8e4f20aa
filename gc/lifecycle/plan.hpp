#pragma once
// A lifecycle plan: what the rules of a policy say now of every tag and every untagged manifest. Making one
// changes nothing. Its hash binds the policy and everything that it would remove.

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/hasher.hpp"
#include "gc/lifecycle/repository_view.hpp"
#include "policy/judge.hpp"
#include "policy/pattern.hpp"

namespace stele::gc {

struct PlannedItem {
  const std::string& repository;
  std::string_view tag;  // empty: a manifest that has no tag, or goes with its last one
  std::string digest;    // empty: the tag's row names no manifest
  policy::Verdict verdict;
  std::string_view rule;  // empty: none decided
  std::string_view reason;
  // Since the tag was pushed; of an untagged manifest since its push or last tag. None: no such time is
  // known.
  std::optional<std::int64_t> age_seconds;
  std::optional<Timestamp> last_used;
  std::int64_t frees_bytes;
};

struct StoppedRepository {
  std::string repository;
  std::string reason;
};

struct PlanSummary {
  std::string hash;
  Timestamp made_at;
  std::optional<Timestamp> at;  // the time for which it was made; none: then
  std::string policy_hash;
  std::uint64_t repositories = 0;  // to which any rule applies
  std::uint64_t manifests = 0;
  std::uint64_t expiring = 0;  // tags, and manifests without one
  std::uint64_t blocked = 0;
  std::int64_t frees_bytes = 0;
  std::vector<StoppedRepository> stopped;  // where a run would stop and ask
};

// The hash of what would be removed: add() in the order of the plan.
class PlanHash {
 public:
  explicit PlanHash(const std::string& policy_hash);
  void add(std::string_view repository, std::string_view tag, std::string_view digest);
  std::string finish();  // "sha256:…"

 private:
  Hasher hasher_;
};

// A view and what was decided of it.
struct JudgedRepository {
  RepositoryView view;
  policy::Judgement judgement;
};

// Nothing: no rule applies to it, or the rules that do never expire anything. name_unknown when there is no
// such repository.
Result<std::optional<JudgedRepository>> judge_repository(const RegistryContext&, const policy::Policy&,
                                                         const RepositoryName&,
                                                         const std::optional<Timestamp>& at = std::nullopt);

PlannedItem item_of(const JudgedRepository&, const policy::PlanItem&);

// Why a run stops there and asks; empty: it does not.
std::string why_stopped(const policy::Lifecycle&, const policy::Judgement&);

// Calls `visit` for each repository that matches, in bytewise order, until it returns an error. Long: for a
// thread that may take its time.
Result<void> visit_repositories(const RegistryContext&, const policy::PatternList&,
                                const std::function<Result<void>(const RepositoryName&)>& visit);

// Judges all that match. `policy` need not be the one in force. A manifest whose last tag expires is an item
// of its own, after all others of its repository, with the rule of that tag. `at`: what would go then, if
// nothing is pushed, pulled or changed until then; no earlier than now.
Result<PlanSummary> make_plan(const RegistryContext&, const policy::Policy& policy,
                              const policy::PatternList&,
                              const std::function<Result<void>(const PlannedItem&)>&,
                              const std::optional<Timestamp>& at = std::nullopt);

}  // namespace stele::gc
