#include "gc/lifecycle/verdict.hpp"

#include "gc/lifecycle/plan.hpp"

namespace stele::gc {

std::optional<std::int64_t> would_free(const RegistryContext& context, const RepositoryName& name) {
  const auto judged = judge_repository(context, *context.policy.current(), name);
  if (!judged) return std::nullopt;
  return *judged ? (*judged)->judgement.bytes_freed : 0;
}

std::optional<WhyVerdict> verdict_of(const RegistryContext& context, const RepositoryName& name,
                                     const std::optional<Tag>& tag, const Digest& digest) {
  const auto judged = judge_repository(context, *context.policy.current(), name);
  if (!judged || !*judged) return std::nullopt;
  std::optional<WhyVerdict> verdict;
  for (const policy::PlanItem& item : (*judged)->judgement.items) {
    const PlannedItem planned = item_of(**judged, item);
    if (tag ? planned.tag != tag->str() : planned.digest != digest.str()) continue;
    verdict = WhyVerdict{std::string(policy::to_string(planned.verdict)), std::string(planned.rule),
                         std::string(planned.reason)};
    // Of a manifest with several tags, one that stays is the answer.
    if (tag || planned.verdict != policy::Verdict::expire) break;
  }
  return verdict;
}

}  // namespace stele::gc
