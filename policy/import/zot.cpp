// zot: storage.retention of its configuration. The first policy whose repositories match decides; in it, a
// tag is judged by the first of keepTags whose patterns match, and by any of what that says. Once there are
// keepTags, the other tags go.

#include "base/printable.hpp"
#include "policy/import/importer.hpp"
#include "policy/pattern.hpp"

namespace stele::policy {
namespace {

constexpr std::size_t most_zot_patterns =
    200;  // of repositories: each policy names those of the earlier ones
constexpr std::int64_t default_delay = 24LL * 3600;

}  // namespace

void Importer::read_zot(const YamlNode& root) {
  const YamlNode* const storage = member(root, "storage");
  const YamlNode* retention = member(storage == nullptr ? root : *storage, "retention");
  if (retention == nullptr && member(root, "policies") != nullptr) retention = &root;
  const YamlNode* const policies = retention == nullptr ? nullptr : member(*retention, "policies");
  if (policies == nullptr || policies->kind != YamlNode::Kind::sequence || policies->children.empty())
    return fail(root.at, "the document has no storage.retention.policies, which is what zot says of tags");
  if (storage != nullptr && member(*storage, "subPaths") != nullptr)
    differs("storage.subPaths",
            "a retention of its own is not read: left out, so that what it removes stays");
  list_unread("retention", *retention, {"policies", "delay", "dryRun"}, {});
  say_nothing_is_protected();
  if (is_true(*retention, "dryRun"))
    differs("retention", "dryRun is true there, so that nothing is removed; here the rules count");
  std::int64_t delay = default_delay;
  if (member(*retention, "delay") != nullptr) {
    const auto seconds = seconds_member(*retention, "delay", "retention");
    if (!seconds) return;
    delay = *seconds;
  }
  differs("untagged manifests",
          "zot removes them in repositories of which no policy speaks too; here they stay there");
  std::vector<std::string> spoken_of;
  for (std::size_t i = 0; i < policies->children.size(); ++i)
    read_zot_policy(policies->children[i], "policy " + std::to_string(i + 1), delay, spoken_of);
}

// `spoken_of`: "!pattern" of the earlier policies' repositories, to which its own are added.
void Importer::read_zot_policy(const YamlNode& policy, const std::string& subject, std::int64_t delay,
                               std::vector<std::string>& spoken_of) {
  list_unread(subject, policy, {"repositories", "repoNames", "deleteReferrers", "deleteUntagged", "keepTags"},
              {});
  const YamlNode* names = member(policy, "repositories");
  if (names == nullptr) names = member(policy, "repoNames");
  if (names == nullptr || names->kind != YamlNode::Kind::sequence || names->children.empty())
    return fail(policy.at, subject + " lacks its repositories");
  const std::string prefix = under_.empty() ? std::string() : std::string(under_) + "/";
  std::vector<std::string> repositories;
  for (const YamlNode& name : names->children) {
    std::string pattern;
    if (is_printable_line(name.text) && !name.text.empty()) pattern = doublestar_pattern(prefix, name.text);
    if (pattern.empty() || !PatternList::compile({pattern}))
      return fail(name.at, subject + ": the pattern " + in_quotes(name.text) +
                               " has no equivalent; write the rule by hand");
    repositories.push_back(std::move(pattern));
  }
  const std::vector<std::string> own = repositories;
  if (spoken_of.size() + own.size() > most_zot_patterns)
    return fail(names->at, "more than " + std::to_string(most_zot_patterns) + " patterns of repositories");
  repositories.insert(repositories.end(), spoken_of.begin(), spoken_of.end());
  for (const std::string& pattern : own) spoken_of.push_back("!" + pattern);

  std::vector<LifecycleEntry> keep, expire;
  if (const YamlNode* const keep_tags = member(policy, "keepTags");
      keep_tags != nullptr && !keep_tags->children.empty()) {
    read_zot_tags(*keep_tags, subject, keep);
    LifecycleEntry all;
    all.tags = {"**"};
    if (keep.empty() || describe(keep.front()) != describe(all)) expire.push_back(std::move(all));
  }
  const std::string_view untagged = text_member(policy, "deleteUntagged");
  if (untagged.empty() || is_true(policy, "deleteUntagged")) {
    LifecycleEntry& entry = expire.emplace_back();
    entry.untagged = true;
    entry.older_than = delay;
    if (!is_true(policy, "deleteReferrers"))
      differs(
          subject,
          "keeps referrers whose subject is gone (deleteReferrers); here they go as untagged manifests do");
  } else if (is_true(policy, "deleteReferrers")) {
    left_out(subject, "deleteReferrers without deleteUntagged has no equivalent");
  }
  add_lifecycle("zot-" + subject.substr(subject.rfind(' ') + 1), std::move(repositories), std::move(keep),
                std::move(expire));
}

void Importer::read_zot_tags(const YamlNode& keep_tags, const std::string& subject,
                             std::vector<LifecycleEntry>& keep) {
  std::vector<std::string> earlier;
  if (keep_tags.children.size() > most_zot_patterns)
    return fail(keep_tags.at, subject + " has more than " + std::to_string(most_zot_patterns) + " keepTags");
  for (const YamlNode& item : keep_tags.children) {
    std::vector<std::string> tags;
    if (const YamlNode* const patterns = member(item, "patterns")) {
      for (const YamlNode& pattern : patterns->children) {
        std::string anywhere_in_tag = anywhere(pattern, subject);
        if (anywhere_in_tag.empty()) return;
        tags.push_back(std::move(anywhere_in_tag));
      }
    }
    if (tags.empty()) tags = {"**"};
    const std::vector<std::string> own = tags;
    if (earlier.size() + own.size() > most_zot_patterns)
      return fail(item.at,
                  subject + " has more than " + std::to_string(most_zot_patterns) + " patterns of tags");
    tags.insert(tags.end(), earlier.begin(), earlier.end());
    for (const std::string& pattern : own) earlier.push_back("!" + pattern);

    LifecycleEntry base;
    base.tags = tags;
    bool says_more = false;
    for (const YamlNode& child : item.children) {
      LifecycleEntry entry = base;
      if (child.key == "patterns") continue;
      if (child.key == "mostRecentlyPushedCount" || child.key == "mostRecentlyPulledCount") {
        if (child.text == "0") continue;
        const auto count = number_member(item, child.key, subject);
        if (!count) return;
        (child.key == "mostRecentlyPushedCount" ? entry.newest_pushed : entry.newest_pulled) = count;
        differs(subject, "counts tags; here images are counted, however many tags each has");
      } else if (child.key == "pulledWithin" || child.key == "pushedWithin") {
        const auto seconds = seconds_member(item, child.key, subject);
        if (!seconds) return;
        (child.key == "pushedWithin" ? entry.pushed_within : entry.pulled_within) = seconds;
      } else {
        return fail(child.key_at, subject + ": " + in_quotes(child.key) + " is not known in keepTags");
      }
      says_more = true;
      keep.push_back(std::move(entry));
    }
    if (!says_more) keep.push_back(std::move(base));
  }
}

}  // namespace stele::policy
