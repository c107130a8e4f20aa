// Amazon ECR: "Image tag mutability", DescribeRepositories, repository creation templates, lifecycle
// policies.

#include <algorithm>

#include "base/printable.hpp"
#include "policy/import/importer.hpp"

namespace stele::policy {
namespace {

constexpr std::size_t longest_prefix_in_name = 40;
const std::vector<std::string> everything = {"**"};
constexpr std::string_view any_repository = "ROOT";  // the prefix of a template that fits all

// A filter of `[0-9a-zA-Z._*-]`, in which `*` stands for any characters.
}  // namespace

bool is_ecr_wildcard(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == '_' || c == '*' || c == '-';
  });
}

void Importer::read_ecr(const YamlNode& root) {
  if (const YamlNode* const repositories = member(root, "repositories")) {
    for (const YamlNode* repository : items(*repositories)) read_ecr_repository(*repository);
  } else if (const YamlNode* const templates = member(root, "repositoryCreationTemplates")) {
    std::vector<const YamlNode*> list = items(*templates);
    // The longest prefix counts there; here the first rule does.
    std::sort(list.begin(), list.end(), [](const YamlNode* a, const YamlNode* b) {
      const auto length = [](const YamlNode& item) {
        const std::string_view prefix = text_member(item, "prefix");
        return prefix == any_repository ? 0 : prefix.size();
      };
      return length(*a) != length(*b) ? length(*a) > length(*b) : a < b;  // both lie in one list
    });
    std::vector<std::string> longer;
    for (const YamlNode* item : list) read_ecr_template(*item, longer);
  } else if (const YamlNode* const repository = member(root, "repository")) {
    read_ecr_repository(*repository);
  } else if (member(root, "repositoryName") != nullptr && member(root, "lifecyclePolicyText") == nullptr &&
             member(root, "rules") == nullptr) {
    read_ecr_repository(root);
  } else if (member(root, "rules") != nullptr || member(root, "lifecyclePolicyText") != nullptr) {
    const std::string_view name = text_member(root, "repositoryName");
    const std::string path = name.empty()
                                 ? path_under(root.at, "a lifecycle policy does not name its repository")
                                 : local_path(root, name);
    if (path.empty()) return;
    say_nothing_is_protected();
    read_ecr_lifecycle(root, "lifecycle policy", {path});
  } else {
    fail(root.at,
         "this is none of ECR's documents about tags: `aws ecr describe-repositories`, "
         "`describe-repository-creation-templates` or a lifecycle policy");
  }
}

void Importer::read_ecr_repository(const YamlNode& repository) {
  const std::string_view name = text_member(repository, "repositoryName");
  if (name.empty()) return fail(repository.at, "a repository lacks its repositoryName");
  const std::string path = local_path(repository, name);
  if (path.empty()) return;
  const std::string subject = "repository " + std::string(name);
  list_unread(
      subject, repository,
      {"repositoryName", "imageTagMutability", "imageTagMutabilityExclusionFilters", "lifecyclePolicy"},
      {"repositoryArn", "registryId", "repositoryUri", "createdAt", "imageScanningConfiguration",
       "encryptionConfiguration", "arn", "id", "region", "forceDelete", "repositoryUrl", "tags", "tagsAll",
       "timeouts", "repositoryPolicyText", "emptyOnDelete"});
  if (const YamlNode* const policy = member(repository, "lifecyclePolicy"))
    read_ecr_lifecycle(*policy, subject + ", lifecyclePolicy", {path});
  const auto tags = immutable_ecr_tags(repository, subject);
  if (!tags) return;
  if (!tags->empty()) add_repository("ecr-immutable", path, *tags, Mutability::immutable, true);
  if (*tags != everything) add_repository("ecr-mutable", path, everything, Mutability::free, true);
}

void Importer::read_ecr_template(const YamlNode& item, std::vector<std::string>& longer) {
  const std::string_view prefix = text_member(item, "prefix");
  if (prefix.empty()) return fail(item.at, "a repository creation template lacks its prefix");
  std::string repositories = "**";
  if (prefix != any_repository || !under_.empty()) {
    const std::string path = local_path(item, prefix == any_repository ? std::string_view() : prefix);
    if (path.empty()) return;
    repositories = path + "/**";
  }
  const std::string subject = "template " + std::string(prefix);
  differs(subject,
          "it shaped repositories when they were created; here the rule counts from now on, for old ones "
          "too");
  list_unread(subject, item,
              {"prefix", "imageTagMutability", "imageTagMutabilityExclusionFilters", "lifecyclePolicy"},
              {"description", "createdAt", "updatedAt", "encryptionConfiguration", "resourceTags",
               "repositoryPolicy", "appliedFor", "customRoleArn"});
  // Only the longest prefix's counts there; here every rule that matches does.
  if (member(item, "lifecyclePolicy") != nullptr) {
    std::vector<std::string> patterns{repositories};
    for (const std::string& other : longer) {
      const std::string_view parent = std::string_view(repositories).substr(0, repositories.size() - 2);
      if (other != repositories && other.starts_with(parent)) patterns.push_back("!" + other);
    }
    read_ecr_lifecycle(item, subject + ", lifecyclePolicy", patterns);
  }
  longer.push_back(repositories);
  const auto tags = immutable_ecr_tags(item, subject);
  if (!tags) return;
  const std::string name = "ecr-" + std::string(prefix.substr(0, longest_prefix_in_name));
  if (!tags->empty()) add_rule(name, {repositories}, *tags, Mutability::immutable, true);
  if (*tags != everything) add_rule(name, {repositories}, everything, Mutability::free, true);
}

std::optional<std::vector<std::string>> Importer::immutable_ecr_tags(const YamlNode& item,
                                                                     const std::string& subject) {
  std::string_view setting = text_member(item, "imageTagMutability");
  if (member(item, "imageTagMutability") == nullptr) {
    setting = "MUTABLE";  // the API's, CloudFormation's and Terraform's default
    differs(subject, "does not say imageTagMutability, whose default is MUTABLE");
  }
  const bool immutable = setting.starts_with("IMMUTABLE");
  const bool excluding = setting.ends_with("_WITH_EXCLUSION");
  if (setting != "MUTABLE" && setting != "IMMUTABLE" && setting != "MUTABLE_WITH_EXCLUSION" &&
      setting != "IMMUTABLE_WITH_EXCLUSION") {
    fail(item.at, subject +
                      ": imageTagMutability must be MUTABLE, IMMUTABLE, MUTABLE_WITH_EXCLUSION or "
                      "IMMUTABLE_WITH_EXCLUSION, not " +
                      in_quotes(setting));
    return std::nullopt;
  }
  std::vector<std::string> filters;
  const YamlNode* const list = member(item, "imageTagMutabilityExclusionFilters");
  if (!excluding && list != nullptr && !items(*list).empty()) {
    fail(list->at, subject +
                       ": imageTagMutabilityExclusionFilters go with a setting that ends in _WITH_EXCLUSION, "
                       "not with " +
                       std::string(setting));
    return std::nullopt;
  }
  if (excluding && list != nullptr) {
    for (const YamlNode* filter : items(*list)) {
      const std::string_view text = text_member(*filter, "filter");
      if (text_member(*filter, "filterType") != "WILDCARD" || !is_ecr_wildcard(text)) {
        fail(filter->at, subject + ": a filter must be of the type WILDCARD, of letters, digits and ._*-");
        continue;
      }
      filters.emplace_back(text);
    }
  }
  if (excluding && filters.empty()) {
    fail(item.at, subject + ": " + std::string(setting) + " without imageTagMutabilityExclusionFilters");
    return std::nullopt;
  }
  std::vector<std::string> tags = immutable ? everything : filters;
  if (immutable) {
    for (const std::string& filter : filters) tags.push_back("!" + filter);
  }
  if (!tags.empty()) {
    say_what_immutable_tags_do_otherwise(true);
    differs(
        "immutable tags",
        "pushing what a tag is already bound to is an error there (ImageAlreadyExistsException), and changes "
        "nothing here");
  }
  return tags;
}

}  // namespace stele::policy
