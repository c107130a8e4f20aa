// Google Artifact Registry's cleanup policies: what a Delete policy selects goes unless a Keep policy selects
// it too, package by package.

#include <algorithm>

#include "base/printable.hpp"
#include "base/text.hpp"
#include "policy/import/importer.hpp"

namespace stele::policy {
namespace {

// Of a tag or of a package.
bool is_prefix(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == '_' || c == '-' || c == '/';
  });
}

}  // namespace

// keep or delete, however it is written; empty when there is none.
std::string Importer::gar_action(const YamlNode& policy) {
  const YamlNode* const action = member(policy, "action");
  if (action == nullptr) return {};
  return lower_case(action->kind == YamlNode::Kind::mapping ? text_member(*action, "type")
                                                            : std::string_view(action->text));
}

// tagged, untagged or any; prefixes are of tags.
std::string Importer::gar_tag_state(const YamlNode& condition) {
  const YamlNode* const prefixes = member(condition, "tagPrefixes");
  if (prefixes != nullptr && !prefixes->children.empty()) return "tagged";
  std::string state = lower_case(text_member(condition, "tagState"));
  return state.empty() || state == "tag_state_unspecified" ? "any" : state;
}

void Importer::read_gar_cleanup(const std::vector<const YamlNode*>& policies, const std::string& subject,
                                const std::string& path) {
  // A keep entry cannot speak of untagged manifests alone: where one would have to, none of them goes.
  bool spares_untagged = false;
  for (const YamlNode* policy : policies) {
    const YamlNode* const condition = member(*policy, "condition");
    if (condition == nullptr || gar_action(*policy) != "keep") continue;
    const std::string state = gar_tag_state(*condition);
    spares_untagged = spares_untagged || state == "untagged" ||
                      (state == "any" && member(*condition, "newerThan") == nullptr);
  }
  for (const YamlNode* policy : policies) {
    std::string name(text_member(*policy, "name"));
    if (name.empty()) name = text_member(*policy, "id");
    if (name.empty()) name = policy->key;
    read_gar_policy(*policy, subject + "cleanup policy " + name, path, spares_untagged);
  }
}

void Importer::read_gar_policy(const YamlNode& policy, const std::string& subject, const std::string& path,
                               bool spares_untagged) {
  const std::string word = gar_action(policy);
  if (word != "keep" && word != "delete")
    return fail(policy.at, subject + ": its action must be Keep or Delete");
  list_unread(subject, policy, {"name", "id", "action", "condition", "mostRecentVersions"}, {});
  const bool keeps = word == "keep";
  const YamlNode* const condition = member(policy, "condition");
  const YamlNode* const recent = member(policy, "mostRecentVersions");
  if ((condition == nullptr) == (recent == nullptr) || (recent != nullptr && !keeps))
    return fail(policy.at, subject + " needs a condition, or to keep mostRecentVersions, and not both");
  const auto repositories = gar_repositories(
      member(recent != nullptr ? *recent : *condition, "packageNamePrefixes"), subject, path);
  if (!repositories) return;
  std::vector<LifecycleEntry> entries;
  if (recent != nullptr) {
    list_unread(subject + ", mostRecentVersions", *recent, {"packageNamePrefixes", "keepCount"}, {});
    const auto count = number_member(*recent, "keepCount", subject);
    if (!count) return;
    entries.emplace_back().newest_pushed = count;
    differs(subject, "counts untagged versions too; here only images with tags are counted");
  } else {
    read_gar_condition(*condition, subject, keeps, spares_untagged, entries);
  }
  add_lifecycle("gar-" + subject.substr(subject.rfind(' ') + 1), *repositories,
                keeps ? entries : std::vector<LifecycleEntry>(),
                keeps ? std::vector<LifecycleEntry>() : entries);
}

std::optional<std::vector<std::string>> Importer::gar_repositories(const YamlNode* filter,
                                                                   const std::string& subject,
                                                                   const std::string& path) {
  std::vector<std::string> repositories;
  if (filter != nullptr) {
    for (const YamlNode& prefix : filter->children) {
      if (!is_prefix(prefix.text)) {
        fail(prefix.at, subject + ": " + in_quotes(prefix.text) + " cannot begin the name of a package");
        return std::nullopt;
      }
      repositories.push_back(path + "/" + prefix.text + "**");
    }
  }
  if (repositories.empty()) repositories.push_back(path + "/**");
  return repositories;
}

void Importer::read_gar_condition(const YamlNode& condition, const std::string& subject, bool keeps,
                                  bool spares_untagged, std::vector<LifecycleEntry>& entries) {
  LifecycleEntry entry;
  const std::string state = gar_tag_state(condition);
  if (state != "any" && state != "tagged" && state != "untagged")
    return fail(condition.at, subject + ": tagState must be tagged, untagged or any");
  for (const YamlNode& child : condition.children) {
    if (child.key == "tagPrefixes") {
      for (const YamlNode& prefix : child.children) {
        if (!is_prefix(prefix.text))
          return fail(prefix.at, subject + ": " + in_quotes(prefix.text) + " cannot begin a tag");
        entry.tags.push_back(prefix.text + "*");
      }
    } else if (child.key == "olderThan" || child.key == "newerThan") {
      const auto seconds = seconds_member(condition, child.key, subject);
      if (!seconds) return;
      if (child.key == "newerThan") {
        entry.pushed_within = seconds;
      } else if (keeps) {
        differs(subject, "keeps only what is older than a time; here it keeps what is newer too");
      } else {
        entry.older_than = seconds;
      }
    } else if (child.key == "versionNamePrefixes") {
      if (child.children.empty()) continue;
      if (!keeps) return left_out(subject, "versionNamePrefixes are of digests, of which no entry speaks");
      return fail(child.key_at, subject +
                                    ": versionNamePrefixes are of digests, of which no entry speaks, and a "
                                    "rule that keeps must not be left out; take the line out to go on");
    } else if (child.key != "tagState" && child.key != "packageNamePrefixes") {
      return fail(child.key_at, subject + ": " + in_quotes(child.key) + " is not known in a condition");
    }
  }
  const bool has_tags = !entry.tags.empty();
  if (keeps) {
    if (state == "untagged" || (state == "any" && !entry.pushed_within))
      differs(subject,
              "keeps untagged versions, of which no keep entry can speak alone; here none of them goes");
    if (state == "untagged") return;
    if (!has_tags && (state == "tagged" || !entry.pushed_within)) entry.tags = {"**"};
    return entries.push_back(std::move(entry));
  }
  if (state == "any" && !spares_untagged && !entry.pushed_within) {
    entry.everything_else = true;
    return entries.push_back(std::move(entry));
  }
  if (state != "untagged") {
    LifecycleEntry tagged = entry;
    if (!has_tags) tagged.tags = {"**"};
    entries.push_back(std::move(tagged));
  }
  if (state == "tagged" || spares_untagged) return;
  entry.untagged = true;
  entries.push_back(std::move(entry));
}

}  // namespace stele::policy
