// Harbor's retention policies: what no rule retains goes, in the repositories of which a rule speaks. The
// rules are ORed, as keep entries are here.

#include "base/printable.hpp"
#include "policy/import/importer.hpp"

namespace stele::policy {
namespace {

constexpr std::int64_t one_day = 24LL * 3600;
constexpr std::uint32_t most_days = 36'500;

}  // namespace

// Whether a rule retains untagged artifacts beside those that its selectors match.
bool Importer::harbor_takes_untagged(const YamlNode& rule) {
  const YamlNode* const selectors = member(rule, "tag_selectors");
  if (selectors == nullptr) return false;
  for (const YamlNode* selector : items(*selectors)) {
    YamlNode inside;
    const YamlNode* const extras = member(*selector, "extras");
    if (extras == nullptr || extras->kind != YamlNode::Kind::scalar || extras->text.empty()) continue;
    if (parse_inside(*extras, inside) && is_true(inside, "untagged")) return true;
  }
  return false;
}

void Importer::read_harbor_retention(const YamlNode& root) {
  if (text_member(root, "algorithm") != "or")
    return fail(root.at, "the algorithm of a retention policy must be or, the only one that Harbor has");
  if (path_under(root.at, "a retention policy does not name its project").empty()) return;
  list_unread("retention policy", root, {"algorithm", "rules", "trigger"}, {"id", "scope"});
  say_nothing_is_protected();
  const YamlNode* const list = member(root, "rules");
  if (list == nullptr || list->kind != YamlNode::Kind::sequence)
    return fail(root.at, "a retention policy lacks its rules");
  // A keep entry cannot speak of untagged manifests alone: where one would have to, none of them goes.
  bool spares_untagged = false;
  for (const YamlNode& rule : list->children) {
    const YamlNode* const tags = member(rule, "tag_selectors");
    const bool all = tags != nullptr && tags->children.size() == 1 &&
                     text_member(tags->children.front(), "pattern") == "**" &&
                     text_member(tags->children.front(), "decoration") == "matches";
    spares_untagged = spares_untagged || (!is_true(rule, "disabled") && harbor_takes_untagged(rule) &&
                                          (!all || text_member(rule, "template") == "always"));
  }
  for (std::size_t i = 0; i < list->children.size(); ++i)
    read_harbor_retention_rule(list->children[i], "retention rule " + std::to_string(i + 1), spares_untagged);
}

void Importer::read_harbor_retention_rule(const YamlNode& rule, const std::string& subject,
                                          bool spares_untagged) {
  if (is_true(rule, "disabled")) return differs(subject, "is disabled: left out");
  if (text_member(rule, "action") != "retain")
    return fail(rule.at, subject + ": the action must be retain, the only one that Harbor has");
  list_unread(subject, rule, {"tag_selectors", "scope_selectors", "action", "disabled", "template", "params"},
              {"id", "priority"});
  std::vector<std::string> repositories;
  LifecycleEntry keep;
  if (!read_harbor_patterns(rule, subject, repositories, keep.tags)) return;
  const bool takes_untagged = harbor_takes_untagged(rule);

  const std::string_view method = text_member(rule, "template");
  const YamlNode* const params = member(rule, "params");
  const auto parameter = [&]() -> std::optional<std::uint32_t> {
    if (params != nullptr) return number_member(*params, method, subject);
    fail(rule.at, subject + " lacks its params");
    return std::nullopt;
  };
  const bool by_push = method == "nDaysSinceLastPush", by_pull = method == "nDaysSinceLastPull";
  if (by_push || by_pull) {
    const auto days = parameter();
    if (!days) return;
    if (*days > most_days) return fail(rule.at, subject + ": more than 100 years");
    (by_push ? keep.pushed_within : keep.pulled_within) = *days * one_day;
    // Without `tags` it keeps untagged manifests too.
    if (takes_untagged && keep.tags == std::vector<std::string>{"**"}) keep.tags.clear();
  } else if (method == "latestPushedK" || method == "latestPulledN") {
    const auto count = parameter();
    if (!count) return;
    (method == "latestPushedK" ? keep.newest_pushed : keep.newest_pulled) = count;
    if (takes_untagged && !spares_untagged)
      differs(subject,
              "counts untagged artifacts too; here only images with tags are counted, and an untagged one "
              "goes unless another entry keeps it or something that stays needs it");
  } else if (method != "always") {
    return fail(rule.at, subject + ": the template " + in_quotes(method) +
                             " is not known; known are always, latestPushedK, latestPulledN, "
                             "nDaysSinceLastPush and nDaysSinceLastPull");
  }
  LifecycleEntry expire;
  if (spares_untagged) {
    expire.tags = {"**"};
    differs("untagged artifacts",
            "some are retained there by a rule of which no keep entry can speak; here none of them goes. "
            "{untagged: "
            "true, older_than: 30d} in expire removes them by age");
  } else {
    expire.everything_else = true;
  }
  add_lifecycle("harbor-" + subject.substr(subject.rfind(' ') + 1), std::move(repositories), {keep},
                {expire});
}

}  // namespace stele::policy
