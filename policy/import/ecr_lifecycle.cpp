// Amazon ECR's lifecycle policies. There a rule decides of images, in the order of rulePriority, and an image
// that a rule selects is out of reach of the later ones, whether it expires or not. Here an entry decides of
// tags and keep beats expire: so each rule becomes an expire entry and a keep entry of the rest of what it
// selects, with all tags of those images (also_tagged), and the later ones leave its tags out.

#include <algorithm>

#include "base/printable.hpp"
#include "policy/import/importer.hpp"

namespace stele::policy {
namespace {

constexpr std::size_t most_rules = 50;  // ECR's own limit
constexpr std::int64_t one_day = 24LL * 3600;

// A wildcard of letters, digits and ._-*, in which `*` stands for any characters.
LifecycleEntry of_tags(const std::vector<std::string>& tags) {
  LifecycleEntry entry;
  entry.tags = tags;
  return entry;
}

}  // namespace

struct Importer::EcrLifecycle {
  std::vector<LifecycleEntry> keep, expire;
  std::vector<std::string> spoken_of;  // "!pattern" of the tags that earlier rules select
  bool untagged_spoken_of = false;
  bool is_last = false;  // no later rule could expire what this one keeps
};

void Importer::read_ecr_lifecycle(const YamlNode& policy, const std::string& subject,
                                  const std::vector<std::string>& repositories) {
  const YamlNode* rules = member(policy, "rules");
  YamlNode inside;
  for (const char* key : {"lifecyclePolicyText", "lifecyclePolicy"}) {
    const YamlNode* const text = member(policy, key);
    if (text == nullptr || text->kind != YamlNode::Kind::scalar) continue;
    if (!parse_inside(*text, inside)) return;
    rules = member(inside, "rules");
  }
  if (rules == nullptr || rules->kind != YamlNode::Kind::sequence)
    return fail(policy.at, subject + " lacks its rules");
  if (rules->children.size() > most_rules)
    return fail(rules->at, subject + " has more than " + std::to_string(most_rules) + " rules");
  struct Ranked {
    std::uint32_t priority;
    const YamlNode* rule;
  };
  std::vector<Ranked> ranked;
  for (const YamlNode& rule : rules->children) {
    const auto priority = number_member(rule, "rulePriority", subject);
    if (!priority) return;
    ranked.push_back({*priority, &rule});
  }
  std::sort(ranked.begin(), ranked.end(), [](const Ranked& a, const Ranked& b) {
    return a.priority != b.priority ? a.priority < b.priority : a.rule < b.rule;  // both lie in one list
  });
  EcrLifecycle made;
  for (const Ranked& item : ranked) {
    const std::string_view description = text_member(*item.rule, "description");
    made.is_last = &item == &ranked.back();
    read_ecr_lifecycle_rule(*item.rule,
                            subject + ", rule " + std::to_string(item.priority) +
                                (description.empty() ? "" : " (" + std::string(description) + ")"),
                            made);
  }
  add_lifecycle("ecr-lifecycle", repositories, std::move(made.keep), std::move(made.expire));
}

// The patterns of a rule for tagged images, all of which its images must have; nothing after a complaint.
std::optional<std::vector<std::string>> Importer::ecr_lifecycle_tags(const YamlNode& selection,
                                                                     const std::string& subject) {
  std::vector<std::string> tags;
  for (const char* key : {"tagPatternList", "tagPrefixList"}) {
    const YamlNode* const list = member(selection, key);
    if (list == nullptr) continue;
    for (const YamlNode& item : list->children) {
      if (!is_ecr_wildcard(item.text)) {
        fail(item.at, subject + ": " + key + " must be of letters, digits and ._-*");
        return std::nullopt;
      }
      tags.push_back(item.text + (key == std::string_view("tagPrefixList") ? "*" : ""));
    }
  }
  if (!tags.empty()) return tags;
  fail(selection.at, subject + ": tagStatus tagged needs a tagPatternList or tagPrefixList");
  return std::nullopt;
}

// Why a rule has no equivalent here; empty: it has one.
std::string Importer::ecr_obstacle(const YamlNode& selection, const YamlNode& action) {
  const std::string_view storage = text_member(selection, "storageClass");
  if (text_member(action, "type") != "expire")
    return "its action is " + std::string(text_member(action, "type")) + ", and here is one storage class";
  if (!storage.empty() && storage != "standard")
    return "it speaks of the storage class " + std::string(storage);
  const std::string_view type = text_member(selection, "countType");
  if (type == "imageCountMoreThan" || type == "sinceImagePushed" || type == "sinceImagePulled") return {};
  return "countType " + std::string(type) + " has no equivalent";
}

bool Importer::is_ecr_selection_known(const YamlNode& selection, const std::string& subject) {
  for (const YamlNode& child : selection.children) {
    constexpr std::string_view known[] = {"tagStatus", "tagPatternList", "tagPrefixList", "countType",
                                          "countUnit", "countNumber",    "storageClass"};
    if (std::find(std::begin(known), std::end(known), child.key) != std::end(known)) continue;
    fail(child.key_at, subject + ": " + in_quotes(child.key) + " is not known in a selection");
    return false;
  }
  const std::string_view status = text_member(selection, "tagStatus");
  if (status == "tagged" || status == "untagged" || status == "any") return true;
  fail(selection.at, subject + ": tagStatus must be tagged, untagged or any");
  return false;
}

// A rule as it is read.
struct Importer::EcrRule {
  std::string_view status;             // tagged, untagged, any
  std::vector<std::string> own{"**"};  // its patterns; an image has a tag of each
  std::vector<std::string> tags;       // the same without what earlier rules select
  bool by_count = false, by_push = false, by_pull = false;
  std::uint32_t number = 0;
  std::int64_t seconds = 0;  // number as days

  // What it selects, with all tags of those images.
  LifecycleEntry selected() const {
    if (status != "tagged") return of_tags(tags);
    LifecycleEntry entry;
    entry.also_tagged = own;
    return entry;
  }
};

void Importer::read_ecr_lifecycle_rule(const YamlNode& rule, const std::string& subject, EcrLifecycle& made) {
  const YamlNode* const selection = member(rule, "selection");
  const YamlNode* const action = member(rule, "action");
  if (selection == nullptr || action == nullptr) return fail(rule.at, subject + " lacks selection or action");
  list_unread(subject, rule, {"rulePriority", "description", "selection", "action"}, {});
  if (!is_ecr_selection_known(*selection, subject)) return;
  EcrRule read;
  read.status = text_member(*selection, "tagStatus");
  const std::string_view type = text_member(*selection, "countType");
  read.by_count = type == "imageCountMoreThan";
  read.by_push = type == "sinceImagePushed";
  read.by_pull = type == "sinceImagePulled";
  if (read.status == "tagged") {
    auto own = ecr_lifecycle_tags(*selection, subject);
    if (!own) return;
    read.own = std::move(*own);
  }
  read.tags = read.own;
  read.tags.insert(read.tags.end(), made.spoken_of.begin(), made.spoken_of.end());

  const std::string obstacle = ecr_obstacle(*selection, *action);
  if (!obstacle.empty()) {
    // What it selects is out of reach of the later rules there, and stays here.
    if (read.status != "untagged") made.keep.push_back(read.selected());
    if (read.status != "tagged") made.untagged_spoken_of = true;
    return left_out(subject, obstacle);
  }

  const auto number = number_member(*selection, "countNumber", subject);
  if (!number) return;
  if (!read.by_count && text_member(*selection, "countUnit") != "days")
    return fail(selection->at, subject + ": countUnit must be days");
  if (!read.by_count && *number > 36'500)
    return fail(selection->at, subject + ": countNumber is over 100 years");
  read.number = *number;
  read.seconds = *number * one_day;
  add_ecr_rule(read, subject, made);
}

void Importer::add_ecr_rule(const EcrRule& rule, const std::string& subject, EcrLifecycle& made) {
  // One tag for each of several patterns is a matter of the image.
  LifecycleEntry expire = rule.own.size() > 1 ? rule.selected() : of_tags(rule.tags);
  if (rule.own.size() > 1 && !made.spoken_of.empty()) {
    expire.tags = {"**"};
    expire.tags.insert(expire.tags.end(), made.spoken_of.begin(), made.spoken_of.end());
  }
  if (rule.status == "untagged") {
    expire = {};
    expire.untagged = true;
    made.untagged_spoken_of = true;
    if (rule.by_count) {
      LifecycleEntry keep = expire;
      keep.newest_pushed = rule.number;
      made.keep.push_back(std::move(keep));
    }
  } else if (rule.by_count) {
    LifecycleEntry keep = rule.selected();
    keep.newest_pushed = rule.number;
    made.keep.push_back(std::move(keep));
    if (rule.status == "any" && made.spoken_of.size() > 0)
      differs(subject,
              "counts the images of the earlier rules too; here their tags take no slot, so that more stays");
  } else if (!made.is_last) {
    LifecycleEntry keep = rule.selected();
    keep.pushed_within = rule.seconds;
    made.keep.push_back(keep);
    if (rule.by_pull) {
      keep.pushed_within.reset();
      keep.pulled_within = rule.seconds;
      made.keep.push_back(std::move(keep));
    }
  }
  if (rule.status == "any" && !made.untagged_spoken_of) {
    expire = {};
    expire.everything_else = true;
    if (rule.by_count)
      differs(subject,
              "counts untagged images too; here only images with tags are counted, and an untagged one goes "
              "unless something that stays needs it");
  }
  if (rule.by_push) expire.older_than = rule.seconds;
  if (rule.by_pull) expire.not_pulled_for = rule.seconds;
  made.expire.push_back(std::move(expire));
  if (rule.status != "untagged" && rule.own.size() == 1) made.spoken_of.push_back("!" + rule.own.front());
}

}  // namespace stele::policy
