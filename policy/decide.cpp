#include "policy/decide.hpp"

#include <algorithm>

#include "base/printable.hpp"
#include "policy/kept_content.hpp"
#include "policy/tag_refusal.hpp"
#include "policy/version.hpp"

namespace stele::policy {
namespace {

std::string by_rule(const Match& match) {
  return "(rule " + match.rule->name + ")";
}

Error refuse_removal(const TagName& name, const Match& match, const Binding& present, const char* reason,
                     const std::string& what, const std::string& next_step) {
  return refuse_tag(name, match, present, nullptr, reason, what,
                    place(name) + " " + what + " " + by_rule(match) + "; it points to " +
                        present.digest.str() + "; " + next_step);
}

// `because`: what is wrong with the manifest that is offered, after its digest. `or_else`: a further way out.
Error refuse_move(const Move& move, std::string_view reason, const std::string& because,
                  const std::string& or_else = {}) {
  const Binding& present = move.present;
  const std::string kind(to_string(move.match.rule->mutability));
  return refuse_tag(
      move.name, move.match, present, &move.offered, reason, "is " + kind,
      place(move.name) + " cannot be overwritten because the tag is " + kind + " " + by_rule(move.match) +
          "; it " + (present.removed ? "was deleted and stays bound to " : "points to ") +
          present.digest.str() + ", you pushed " + move.offered.str() + because +
          (present.removed ? "; push that digest again, or a new tag" : "; push a new tag") + or_else);
}

std::optional<int> compare_times(std::string_view a, std::string_view b) {
  const auto first = parse_timestamp(a);
  const auto second = parse_timestamp(b);
  if (!first || !second) return std::nullopt;
  return first->microseconds < second->microseconds ? -1 : first->microseconds > second->microseconds ? 1 : 0;
}

// Artifact Registry's words. kaniko's --push-ignore-immutable-tag-errors looks for a registry's sentence in
// all that go-containerregistry prints of an error, its detail too: for these words in every version that has
// the flag, but for ECR's present ones, which the message has, in the forks alone (kaniko issue 3481).
constexpr const char* other_words_for_immutable = "The repository has enabled tag immutability";

Decision immutable(const Move& move, const Facts& of_offered) {
  if (!of_offered.digests) return Decision::wait_for({Fact::digests, false, true});
  // Older versions of buildx push each platform under the tag before the index.
  const bool contains_it =
      std::binary_search(of_offered.digests->begin(), of_offered.digests->end(), move.present.digest.str());
  Error refusal =
      refuse_move(move, "TAG_IMMUTABLE",
                  contains_it ? ", an index that contains it: a tool that pushes each platform under the tag "
                                "before the index must push the platforms by digest"
                              : "");
  return Decision::refuse(std::move(refusal).with("in_other_words", other_words_for_immutable));
}

Decision append_only(const Move& move, const Facts& of_present, const Facts& of_offered) {
  if (!of_present.content || !of_offered.content)
    return Decision::wait_for({Fact::content, !of_present.content, !of_offered.content});
  const auto lost = lost_content(*of_present.content, *of_offered.content);
  if (lost.empty()) return Decision::allow();
  const std::string more =
      lost.size() > 1 ? " and " + std::to_string(lost.size() - 1) + " more" : std::string();
  Error refusal = refuse_move(move, "TAG_APPEND_ONLY",
                              ", which lacks " + spelled_content(lost.front()) + more + " of it");
  return Decision::refuse(std::move(refusal).with("lost", lost.front()));
}

// Older is refused; equal and newer pass. Without a comparable value on the present target anything passes.
Decision forward_only(const Move& move, const Facts& of_present, const Facts& of_offered) {
  if (move.backwards) return Decision::allow();
  if (!of_present.ordering || !of_offered.ordering)
    return Decision::wait_for({Fact::ordering, !of_present.ordering, !of_offered.ordering});
  const bool by_version = move.match.rule->forward_by == ForwardBy::version;
  const auto value = [&](const Ordering& ordering) -> const std::string& {
    return by_version ? ordering.version : ordering.created;
  };
  const auto source = [&](const Ordering& ordering) -> const std::string& {
    return by_version ? ordering.version_from : ordering.created_from;
  };
  const std::string& now = value(*of_present.ordering);
  const std::string& then = value(*of_offered.ordering);
  const auto spelled = [&](const Ordering& ordering) {
    const std::string& from = source(ordering);
    return printable(value(ordering), 60) + (from.empty() ? "" : " (" + printable(from, 160) + ")");
  };
  const std::string way_out =
      now.empty() ? ""
                  : ", or free the name if " + printable(now, 60) + " is not its own (stele tag release)";
  const auto refused = [&](const std::string& because) {
    return Decision::refuse(refuse_move(move, "TAG_FORWARD_ONLY", because, way_out)
                                .with("present_value", now)
                                .with("present_from", source(*of_present.ordering))
                                .with("offered_value", then)
                                .with("offered_from", source(*of_offered.ordering)));
  };
  const auto order = by_version ? compare_versions(then, now) : compare_times(then, now);
  if (order && *order >= 0) return Decision::allow();
  const std::string what = by_version ? "version " : "creation time ";
  if (order) {
    return refused(", whose " + what + spelled(*of_offered.ordering) + " is older than " +
                   spelled(*of_present.ordering));
  }
  // The present target has no value that one could fall behind.
  const bool comparable = (by_version ? compare_versions(now, now) : compare_times(now, now)).has_value();
  if (!comparable) return Decision::allow();
  return refused(", which has no " + what + "to compare with " + spelled(*of_present.ordering));
}

}  // namespace

Decision decide(const Move& move, const Facts& of_present, const Facts& of_offered) {
  if (move.present.digest == move.offered) return Decision::allow();
  switch (move.match.rule->mutability) {
    case Mutability::free:
      return Decision::allow();
    case Mutability::immutable:
      return immutable(move, of_offered);
    case Mutability::append_only:
      return append_only(move, of_present, of_offered);
    case Mutability::forward_only:
      return forward_only(move, of_present, of_offered);
  }
  return Decision::refuse(Error(Errc::internal, "a rule that nobody knows"));  // I8
}

std::optional<Error> decide_removal(const TagName& name, const Match& match, const Binding& present) {
  if (match.rule->may_delete) return std::nullopt;
  return refuse_removal(name, match, present, "TAG_DELETE_DENIED", "may not be deleted",
                        "deleting it needs a rule with delete: allow");
}

std::optional<Error> decide_expiry(const TagName& name, const Match& match, const Binding& present) {
  if (!match.rule->lifecycle_protects) return std::nullopt;
  return refuse_removal(name, match, present, "TAG_LIFECYCLE_PROTECTED", "is protected from lifecycle",
                        "lifecycle: allow in that rule lets it go");
}

Error refuse_pull(const TagName& name, const PullRule& rule, const Digest& present,
                  const std::vector<std::string>& pinned) {
  std::string tags;
  for (const std::string& tag : pinned) tags += (tags.empty() ? "" : ", ") + tag;
  const std::string tag(name.tag), repository(name.repository);
  // containerd resolves by HEAD, which has no body: the advice stands in the few words too.
  return Error(Errc::forbidden, "pulling " + repository + ":" + tag +
                                    " needs a digest or an immutable tag (rule " + rule.name + "); " + tag +
                                    " is " + present.str() + (tags.empty() ? "" : ", also tagged " + tags))
      .in_brief("pull " + repository + "@" + present.str() +
                (pinned.empty() ? "" : " or tag " + pinned.front()))
      .with("reason", "PULL_NOT_PINNED")
      .with("rule", rule.name)
      .with("tag", tag)
      .with("existing", present.str())
      .with("pinned_tags", tags);
}

std::optional<int> compare_versions(std::string_view a, std::string_view b) {
  const auto first = parse_version(a);
  const auto second = parse_version(b);
  if (!first || !second) return std::nullopt;
  return compare(*first, *second);
}

}  // namespace stele::policy
