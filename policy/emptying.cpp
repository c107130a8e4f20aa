#include "policy/emptying.hpp"

#include "policy/tag_refusal.hpp"

namespace stele::policy {

std::optional<Error> decide_emptying(const TagName& name, const Match& match, const Binding& present,
                                     const Digest& offered, const std::optional<TagHold>& hold,
                                     bool deletion) {
  if (match.rule->may_delete && !hold && deletion) return std::nullopt;
  std::string next_step = "emptying or deleting it needs a rule with delete: allow";
  if (hold) {
    next_step = "it is under the legal hold " + hold->name + " (case " + hold->case_number +
                ") and can go when that is released";
  } else if (!deletion) {
    next_step = "deletion is switched off here (delete: off)";
  }
  Error refusal =
      refuse_tag(name, match, present, &offered, hold ? "HELD" : "TAG_DELETE_DENIED", "may not be emptied",
                 place(name) + " may not be moved to a manifest with neither layers nor entries (rule " +
                     match.rule->name + "), which is as good as deleting it; it points to " +
                     present.digest.str() + ", you pushed " + offered.str() + "; " + next_step);
  if (!hold) return refusal;
  return std::move(refusal).with("hold", hold->name).with("case", hold->case_number);
}

}  // namespace stele::policy
