#include "policy/decide.hpp"

#include "base/printable.hpp"
#include "policy/kept_content.hpp"
#include "policy/version.hpp"

namespace stele::policy {
namespace {

std::string place(const TagName& name) {
  return "tag " + in_quotes(name.tag) + " in " + std::string(name.repository);
}

std::string by_rule(const Match& match) {
  return "(rule " + match.rule->name + ")";
}

Error refuse_removal(const TagName& name, const Match& match, const Held& held, const char* reason,
                     const std::string& what, const std::string& next_step) {
  return Error(Errc::refused_by_policy, place(name) + " " + what + " " + by_rule(match) + "; it points to " +
                                            held.digest.str() + "; " + next_step)
      .phrased("Conflict: tag " + printable(name.tag) + " " + what)
      .with("reason", reason)
      .with("rule", match.rule->name)
      .with("tag", std::string(name.tag))
      .with("existing", held.digest.str())
      .with("pushed_by", held.pushed_by)
      .with("pushed_at", to_string(held.pushed_at));
}

std::optional<int> compare_times(std::string_view a, std::string_view b) {
  const auto first = parse_timestamp(a);
  const auto second = parse_timestamp(b);
  if (!first || !second) return std::nullopt;
  return first->microseconds < second->microseconds ? -1 : first->microseconds > second->microseconds ? 1 : 0;
}

}  // namespace

Error refuse_move(const TagName& name, const Match& match, const Held& held, const Digest& offered,
                  std::string_view reason, const std::string& because) {
  const std::string kind(to_string(match.rule->mutability));
  return Error(Errc::refused_by_policy,
               place(name) + " cannot be overwritten because the tag is " + kind + " " + by_rule(match) +
                   "; it " + (held.removed ? "was deleted and stays bound to " : "points to ") +
                   held.digest.str() + ", you pushed " + offered.str() + because +
                   (held.removed ? "; push that digest again, or a new tag" : "; push a new tag"))
      .phrased("Conflict: tag " + printable(name.tag) + " is " + kind)
      .with("reason", std::string(reason))
      .with("rule", match.rule->name)
      .with("tag", std::string(name.tag))
      .with("existing", held.digest.str())
      .with("offered", offered.str())
      .with("pushed_by", held.pushed_by)
      .with("pushed_at", to_string(held.pushed_at));
}

std::optional<Error> decide_immutable(const TagName& name, const Match& match, const Held& held,
                                      const Digest& offered) {
  if (held.digest == offered) return std::nullopt;
  return refuse_move(name, match, held, offered, "TAG_IMMUTABLE", "");
}

std::optional<Error> decide_append_only(const TagName& name, const Match& match, const Held& held,
                                        const Digest& offered, const std::vector<std::string>& lost) {
  if (held.digest == offered || lost.empty()) return std::nullopt;
  return refuse_move(name, match, held, offered, "TAG_APPEND_ONLY",
                     ", which lacks " + spelled_content(lost.front()) +
                         (lost.size() > 1 ? " and " + std::to_string(lost.size() - 1) + " more" : "") +
                         " of it")
      .with("lost", lost.front());
}

std::optional<Error> decide_forward_only(const TagName& name, const Match& match, const Held& held,
                                         const Digest& offered, const Ordering& present,
                                         const Ordering& next) {
  if (held.digest == offered) return std::nullopt;
  const bool by_version = match.rule->forward_by == ForwardBy::version;
  const std::string& now = by_version ? present.version : present.created;
  const std::string& then = by_version ? next.version : next.created;
  const auto order = by_version ? compare_versions(then, now) : compare_times(then, now);
  if (order && *order >= 0) return std::nullopt;
  const std::string what = by_version ? "version " : "creation time ";
  if (order) {
    return refuse_move(name, match, held, offered, "TAG_FORWARD_ONLY",
                       ", whose " + what + printable(then, 60) + " is older than " + printable(now, 60));
  }
  // The present target has no value that one could fall behind.
  const bool comparable = (by_version ? compare_versions(now, now) : compare_times(now, now)).has_value();
  if (!comparable) return std::nullopt;
  return refuse_move(name, match, held, offered, "TAG_FORWARD_ONLY",
                     ", which has no " + what + "to compare with " + printable(now, 60));
}

std::optional<Error> decide_removal(const TagName& name, const Match& match, const Held& held) {
  if (match.rule->may_delete) return std::nullopt;
  return refuse_removal(name, match, held, "TAG_DELETE_DENIED", "may not be deleted",
                        "deleting it needs a rule with delete: allow");
}

std::optional<Error> decide_expiry(const TagName& name, const Match& match, const Held& held) {
  if (!match.rule->lifecycle_protects) return std::nullopt;
  return refuse_removal(name, match, held, "TAG_LIFECYCLE_PROTECTED", "is protected from lifecycle",
                        "lifecycle: allow in that rule lets it go");
}

Error refuse_pull(const TagName& name, const PullRule& rule, const Digest& present,
                  const std::vector<std::string>& pinned) {
  std::string tags;
  for (const std::string& tag : pinned) tags += (tags.empty() ? "" : ", ") + tag;
  const std::string tag(name.tag), repository(name.repository);
  // containerd resolves by HEAD, which has no body: the advice stands in the reason phrase too.
  return Error(Errc::forbidden, "pulling " + repository + ":" + tag +
                                    " needs a digest or an immutable tag (rule " + rule.name + "); " + tag +
                                    " is " + present.str() + (tags.empty() ? "" : ", also tagged " + tags))
      .phrased("Forbidden: pull " + repository + "@" + present.str() +
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
