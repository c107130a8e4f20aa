#include "policy/emptying.hpp"

#include "base/printable.hpp"

namespace stele::policy {

std::optional<Error> decide_emptying(const TagName& name, const Match& match, const Held& held,
                                     const Digest& offered, const std::optional<TagHold>& hold) {
  if (match.rule->may_delete && !hold) return std::nullopt;
  const std::string next_step = hold ? "it is under the legal hold " + hold->name + " (case " +
                                           hold->case_number + ") and can go when that is released"
                                     : "emptying or deleting it needs a rule with delete: allow";
  Error refusal = Error(Errc::refused_by_policy,
                        "tag " + in_quotes(name.tag) + " in " + std::string(name.repository) +
                            " may not be moved to a manifest with neither layers nor entries (rule " +
                            match.rule->name + "), which is as good as deleting it; it points to " +
                            held.digest.str() + ", you pushed " + offered.str() + "; " + next_step)
                      .phrased("Conflict: tag " + printable(name.tag) + " may not be emptied")
                      .with("reason", hold ? "HELD" : "TAG_DELETE_DENIED")
                      .with("rule", match.rule->name)
                      .with("tag", std::string(name.tag))
                      .with("existing", held.digest.str())
                      .with("offered", offered.str())
                      .with("pushed_by", held.pushed_by)
                      .with("pushed_at", to_string(held.pushed_at));
  if (!hold) return refusal;
  return Error(refusal).with("hold", hold->name).with("case", hold->case_number);
}

}  // namespace stele::policy
