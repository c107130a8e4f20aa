#include "policy/import/resources.hpp"

#include <algorithm>
#include <array>

namespace stele::policy {
namespace {

using config::YamlNode;

constexpr std::array<std::string_view, 2> ecr_types = {"aws_ecr_repository", "AWS::ECR::Repository"};
constexpr std::array<std::string_view, 1> gar_types = {"google_artifact_registry_repository"};
constexpr std::array<std::string_view, 1> harbor_types = {"harbor_immutable_tag_rule"};

// Terraform's JSON takes a list of objects wherever it takes an object.
template <typename Use>
void for_each_member(YamlNode& block, const Use& use) {
  if (block.kind == YamlNode::Kind::mapping) {
    for (YamlNode& child : block.children) use(child);
  } else if (block.kind == YamlNode::Kind::sequence) {
    for (YamlNode& item : block.children) for_each_member(item, use);
  }
}

void take_of_module(YamlNode& module, std::vector<Resource>& taken) {
  if (YamlNode* const list = find_member(module, "resources")) {
    for (YamlNode& resource : list->children) {
      const YamlNode* const mode = find_member(resource, "mode");
      if (mode != nullptr && mode->text == "data") continue;  // what it looks up belongs to someone else
      YamlNode* const type = find_member(resource, "type");
      YamlNode* const values = find_member(resource, "values");
      if (type != nullptr && values != nullptr)
        taken.push_back({type->text, std::move(*values), resource.at});
    }
  }
  if (YamlNode* const modules = find_member(module, "child_modules")) {
    for (YamlNode& child : modules->children) take_of_module(child, taken);
  }
}

void take_of_source(YamlNode& root, std::vector<Resource>& taken) {
  if (YamlNode* const types = find_member(root, "resource")) {
    for_each_member(*types, [&](YamlNode& type) {
      for_each_member(type, [&](YamlNode& named) {
        if (named.kind != YamlNode::Kind::sequence) {
          const TextPosition at = named.key_at;
          taken.push_back({type.key, std::move(named), at});
          return;
        }
        for (YamlNode& item : named.children) {
          const TextPosition at = item.at;
          taken.push_back({type.key, std::move(item), at});
        }
      });
    });
  }
  if (YamlNode* const modules = find_member(root, "module")) {
    for_each_member(*modules, [&](YamlNode& named) {
      const TextPosition at = named.key_at;
      taken.push_back({"module", std::move(named), at});
    });
  }
}

// The part that every type of a system begins with.
bool is_of(ImportSource source, std::string_view type) {
  switch (source) {
    case ImportSource::ecr:
      return type.starts_with("aws_ecr_") || type.starts_with("AWS::ECR::");
    case ImportSource::gar:
      return type.starts_with("google_artifact_registry_");
    case ImportSource::harbor:
      return type.starts_with("harbor_");
    case ImportSource::ghcr:
    case ImportSource::dockerhub:
    case ImportSource::zot:
      break;
  }
  return false;
}

// Says why nothing was made of a type, and whether it may hold a protection.
UnreadResources describe(const Resource& resource) {
  constexpr std::string_view protecting[] = {"template", "Template", "immutab", "Immutab", "protect", "lock"};
  const std::string& type = resource.type;
  UnreadResources unread{.type = type, .at = resource.at, .what = {}, .may_protect = false};
  if (type == "module") {
    unread.what =
        "a .tf.json does not hold what its modules create; `terraform show -json` of the state or the plan "
        "does";
  } else if (type == "aws_ecr_lifecycle_policy") {
    unread.what =
        "not read: nothing is removed by it here. Import what `aws ecr get-lifecycle-policy` says of the "
        "repository";
  } else if (type == "harbor_retention_policy") {
    unread.what =
        "not read: nothing is removed by it here. Import what Harbor's API says of the project's retention "
        "policy";
  } else if (type == "aws_ecr_repository_creation_template" ||
             type == "AWS::ECR::RepositoryCreationTemplate") {
    unread.may_protect = true;
    unread.what =
        "not read here, and it may make tags immutable there. Import what `aws ecr "
        "describe-repository-creation-templates` says, and take it out of this document to go on without it";
  } else if (std::any_of(std::begin(protecting), std::end(protecting),
                         [&](std::string_view word) { return type.find(word) != std::string::npos; })) {
    unread.may_protect = true;
    unread.what = "not understood, and may protect tags there; take it out to go on without it";
  } else {
    unread.what = "not understood and left out";
  }
  return unread;
}

}  // namespace

YamlNode* find_member(YamlNode& node, std::string_view key) {
  if (node.kind != YamlNode::Kind::mapping) return nullptr;
  const auto found = std::find_if(node.children.begin(), node.children.end(),
                                  [&](const YamlNode& child) { return child.key == key; });
  return found == node.children.end() ? nullptr : &*found;
}

std::vector<Resource> take_resources(YamlNode& root) {
  std::vector<Resource> taken;
  for (const char* const key : {"values", "planned_values"}) {
    YamlNode* const values = find_member(root, key);
    YamlNode* const module = values == nullptr ? nullptr : find_member(*values, "root_module");
    if (module != nullptr) take_of_module(*module, taken);
  }
  take_of_source(root, taken);
  if (YamlNode* const named = find_member(root, "Resources")) {  // CloudFormation
    for (YamlNode& resource : named->children) {
      const YamlNode* const type = find_member(resource, "Type");
      if (type == nullptr) continue;
      YamlNode* const values = find_member(resource, "Properties");
      YamlNode none;
      none.kind = YamlNode::Kind::mapping;
      none.at = resource.at;
      taken.push_back(
          {type->text, values == nullptr ? std::move(none) : std::move(*values), resource.key_at});
    }
  }
  return taken;
}

std::span<const std::string_view> read_types(ImportSource source) {
  switch (source) {
    case ImportSource::ecr:
      return ecr_types;
    case ImportSource::gar:
      return gar_types;
    case ImportSource::harbor:
      return harbor_types;
    case ImportSource::ghcr:
    case ImportSource::dockerhub:
    case ImportSource::zot:
      break;
  }
  return {};
}

std::vector<UnreadResources> unread_among(ImportSource source, std::span<const Resource> resources) {
  const auto read = read_types(source);
  std::vector<UnreadResources> found;
  for (const Resource& resource : resources) {
    const std::string& type = resource.type;
    if (!is_of(source, type) && type != "module") continue;
    if (std::find(read.begin(), read.end(), type) != read.end()) continue;
    if (std::any_of(found.begin(), found.end(), [&](const auto& known) { return known.type == type; }))
      continue;
    found.push_back(describe(resource));
  }
  return found;
}

}  // namespace stele::policy
