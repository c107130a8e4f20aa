#include "policy/decide.hpp"

#include <algorithm>
#include <charconv>

#include "base/printable.hpp"

namespace stele::policy {
namespace {

std::string place(const TagName& name) {
  return "tag " + in_quotes(name.tag) + " in " + std::string(name.repository);
}

std::string by_rule(const Match& match) {
  return "(rule " + match.rule->name + ")";
}

struct Version {
  std::uint64_t numbers[3] = {0, 0, 0};
  std::vector<std::string_view> pre_release;
};

bool is_number(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t dot = text.find('.');
    parts.push_back(text.substr(0, dot));
    if (dot == std::string_view::npos) return parts;
    text.remove_prefix(dot + 1);
  }
}

std::optional<Version> parse_version(std::string_view text) {
  if (text.starts_with('v')) text.remove_prefix(1);
  text = text.substr(0, text.find('+'));
  Version version;
  const std::size_t dash = text.find('-');
  if (dash != std::string_view::npos) {
    version.pre_release = split(text.substr(dash + 1));
    for (const std::string_view part : version.pre_release) {
      if (part.empty()) return std::nullopt;
    }
    text = text.substr(0, dash);
  }
  const auto numbers = split(text);
  if (numbers.size() > 3) return std::nullopt;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (!is_number(numbers[i])) return std::nullopt;
    const auto [end, failed] =
        std::from_chars(numbers[i].data(), numbers[i].data() + numbers[i].size(), version.numbers[i]);
    if (failed != std::errc()) return std::nullopt;
  }
  return version;
}

int sign(int value) {
  return (value > 0) - (value < 0);
}

// Numbers of any length, without leading zeros in mind.
int compare_numbers(std::string_view a, std::string_view b) {
  const auto strip = [](std::string_view& text) {
    while (text.size() > 1 && text.front() == '0') text.remove_prefix(1);
  };
  strip(a);
  strip(b);
  if (a.size() != b.size()) return a.size() < b.size() ? -1 : 1;
  return sign(a.compare(b));
}

int compare_identifiers(std::string_view a, std::string_view b) {
  const bool a_number = is_number(a), b_number = is_number(b);
  if (a_number && b_number) return compare_numbers(a, b);
  if (a_number != b_number) return a_number ? -1 : 1;
  return sign(a.compare(b));
}

int compare(const Version& a, const Version& b) {
  for (std::size_t i = 0; i < 3; ++i) {
    if (a.numbers[i] != b.numbers[i]) return a.numbers[i] < b.numbers[i] ? -1 : 1;
  }
  if (a.pre_release.empty() != b.pre_release.empty()) return a.pre_release.empty() ? 1 : -1;
  for (std::size_t i = 0; i < std::min(a.pre_release.size(), b.pre_release.size()); ++i) {
    if (const int order = compare_identifiers(a.pre_release[i], b.pre_release[i])) return order;
  }
  return a.pre_release.size() == b.pre_release.size()  ? 0
         : a.pre_release.size() < b.pre_release.size() ? -1
                                                       : 1;
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
               place(name) + " is " + kind + " " + by_rule(match) + "; it " +
                   (held.removed ? "was deleted and stays bound to " : "points to ") + held.digest.str() +
                   ", you pushed " + offered.str() + because +
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
                     ", which lacks " + lost.front() +
                         (lost.size() > 1 ? " and " + std::to_string(lost.size() - 1) + " more" : "") +
                         " of it");
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
  return Error(Errc::refused_by_policy, place(name) + " may not be deleted " + by_rule(match) +
                                            "; it points to " + held.digest.str() +
                                            "; deleting it needs a rule with delete: allow")
      .phrased("Conflict: tag " + printable(name.tag) + " may not be deleted")
      .with("reason", "TAG_DELETE_DENIED")
      .with("rule", match.rule->name)
      .with("tag", std::string(name.tag))
      .with("existing", held.digest.str())
      .with("pushed_by", held.pushed_by)
      .with("pushed_at", to_string(held.pushed_at));
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
