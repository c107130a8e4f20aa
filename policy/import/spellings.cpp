#include "policy/import/spellings.hpp"

#include <algorithm>
#include <string_view>

namespace stele::policy {
namespace {

using config::YamlNode;

bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}
bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}

// image_tag_mutability and ImageTagMutability → imageTagMutability
std::string camel_case(std::string_view key) {
  std::string made;
  for (std::size_t i = 0; i < key.size(); ++i) {
    char c = key[i];
    if (c == '_' && i > 0 && i + 1 < key.size()) {
      c = key[++i];
      made += is_lower(c) ? static_cast<char>(c - 'a' + 'A') : c;
    } else {
      made += i == 0 && is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c;
    }
  }
  return made;
}

void rename(YamlNode& node, std::string_view from, std::string_view to) {
  if (find_member(node, to) != nullptr) return;
  if (YamlNode* const child = find_member(node, from)) child->key = std::string(to);
}

void use_camel_case(YamlNode& node) {
  const bool has_names_as_keys = node.key == "cleanupPolicies" || node.key == "labels" || node.key == "tags";
  for (YamlNode& child : node.children) {
    if (node.kind == YamlNode::Kind::mapping && !has_names_as_keys) child.key = camel_case(child.key);
    use_camel_case(child);
  }
}

// Terraform writes a block that stands once as a list of one.
void unwrap(YamlNode& node, std::string_view key) {
  YamlNode* const child = find_member(node, key);
  if (child == nullptr || child->kind != YamlNode::Kind::sequence || child->children.size() > 1) return;
  if (child->children.empty()) {
    child->kind = YamlNode::Kind::null;
    return;
  }
  YamlNode only = std::move(child->children.front());
  only.key = child->key;
  only.key_at = child->key_at;
  *child = std::move(only);
}

YamlNode list_of_resources(const YamlNode& root, std::vector<Resource>& resources, ImportSource source) {
  const auto types = read_types(source);
  YamlNode list;
  list.kind = YamlNode::Kind::sequence;
  list.at = root.at;
  for (Resource& resource : resources) {
    if (std::find(types.begin(), types.end(), resource.type) == types.end()) continue;
    resource.values.key.clear();
    list.children.push_back(std::move(resource.values));
  }
  return list;
}

YamlNode under_key(YamlNode list, std::string_view key) {
  YamlNode root;
  root.kind = YamlNode::Kind::mapping;
  root.at = list.at;
  list.key = std::string(key);
  root.children.push_back(std::move(list));
  return root;
}

void spell_ecr_item(YamlNode& item) {
  rename(item, "name", "repositoryName");
  rename(item, "imageTagMutabilityExclusionFilter", "imageTagMutabilityExclusionFilters");
  if (YamlNode* const filters = find_member(item, "imageTagMutabilityExclusionFilters")) {
    // One alone is written without its list.
    if (filters->kind == YamlNode::Kind::mapping) {
      rename(*filters, "imageTagMutabilityExclusionFilterType", "filterType");
      rename(*filters, "imageTagMutabilityExclusionFilterValue", "filter");
    }
    for (YamlNode& filter : filters->children) {
      rename(filter, "imageTagMutabilityExclusionFilterType", "filterType");
      rename(filter, "imageTagMutabilityExclusionFilterValue", "filter");
    }
  }
}

YamlNode spell_ecr(YamlNode root, std::vector<Resource>& resources) {
  if (!resources.empty())
    root = under_key(list_of_resources(root, resources, ImportSource::ecr), "repositories");
  use_camel_case(root);
  for (const char* const key : {"repositories", "repositoryCreationTemplates"}) {
    YamlNode* const list = find_member(root, key);
    if (list == nullptr) continue;
    for (YamlNode& item : list->children) spell_ecr_item(item);
  }
  if (YamlNode* const one = find_member(root, "repository")) spell_ecr_item(*one);
  if (find_member(root, "imageTagMutability") != nullptr) spell_ecr_item(root);
  return root;
}

YamlNode text_node(const YamlNode& at, std::string_view key, std::string text) {
  YamlNode node;
  node.kind = YamlNode::Kind::scalar;
  node.at = node.key_at = at.at;
  node.key = std::string(key);
  node.text = std::move(text);
  return node;
}

// Terraform has the parts of the name, and calls the last of them `name`.
void spell_gar_item(YamlNode& item) {
  if (item.kind != YamlNode::Kind::mapping || find_member(item, "action") != nullptr) return;
  for (const char* const key : {"dockerConfig", "vulnerabilityScanningConfig"}) unwrap(item, key);
  YamlNode* const project = find_member(item, "project");
  YamlNode* const location = find_member(item, "location");
  YamlNode* const id = find_member(item, "repositoryId");
  if (project == nullptr || location == nullptr || id == nullptr) return;
  std::string name =
      "projects/" + project->text + "/locations/" + location->text + "/repositories/" + id->text;
  if (YamlNode* const given = find_member(item, "name")) {
    given->text = std::move(name);
  } else {
    item.children.push_back(text_node(item, "name", std::move(name)));
  }
}

YamlNode spell_gar(YamlNode root, std::vector<Resource>& resources) {
  if (!resources.empty()) root = list_of_resources(root, resources, ImportSource::gar);
  use_camel_case(root);
  if (YamlNode* const list = find_member(root, "repositories")) {
    for (YamlNode& item : list->children) spell_gar_item(item);
  }
  if (root.kind == YamlNode::Kind::sequence) {
    for (YamlNode& item : root.children) spell_gar_item(item);
  }
  spell_gar_item(root);
  return root;
}

// {repo_matching, tag_matching} of the Terraform provider → selectors. What else is there stays, to be
// complained of.
void spell_harbor_item(YamlNode& item) {
  const auto selectors = [&](std::string_view kind, std::string_view matches, std::string_view excludes) {
    YamlNode list;
    list.kind = YamlNode::Kind::sequence;
    list.at = item.at;
    for (const bool excluding : {false, true}) {
      const std::string key = std::string(kind) + (excluding ? "_excluding" : "_matching");
      YamlNode* const pattern = find_member(item, key);
      if (pattern == nullptr) continue;
      if (pattern->kind == YamlNode::Kind::scalar && !pattern->text.empty()) {
        YamlNode selector;
        selector.kind = YamlNode::Kind::mapping;
        selector.at = pattern->at;
        selector.children.push_back(text_node(*pattern, "kind", "doublestar"));
        selector.children.push_back(
            text_node(*pattern, "decoration", std::string(excluding ? excludes : matches)));
        selector.children.push_back(text_node(*pattern, "pattern", pattern->text));
        list.children.push_back(std::move(selector));
      }
      std::erase_if(item.children, [&](const YamlNode& child) { return child.key == key; });
    }
    return list;
  };
  if (find_member(item, "tag_selectors") != nullptr) return;
  YamlNode repositories = selectors("repo", "repoMatches", "repoExcludes");
  YamlNode tags = selectors("tag", "matches", "excludes");
  if (repositories.children.empty() && tags.children.empty()) return;
  repositories.key = "repository";
  YamlNode scopes = under_key(std::move(repositories), "repository");
  scopes.key = "scope_selectors";
  tags.key = "tag_selectors";
  item.children.push_back(std::move(scopes));
  item.children.push_back(std::move(tags));
}

YamlNode spell_harbor(YamlNode root, std::vector<Resource>& resources) {
  if (!resources.empty()) root = list_of_resources(root, resources, ImportSource::harbor);
  if (root.kind == YamlNode::Kind::sequence) {
    for (YamlNode& item : root.children) spell_harbor_item(item);
  }
  spell_harbor_item(root);
  return root;
}

}  // namespace

YamlNode in_one_spelling(ImportSource source, YamlNode document, std::vector<Resource> resources) {
  switch (source) {
    case ImportSource::ecr:
      return spell_ecr(std::move(document), resources);
    case ImportSource::gar:
      return spell_gar(std::move(document), resources);
    case ImportSource::harbor:
      return spell_harbor(std::move(document), resources);
    case ImportSource::ghcr:
    case ImportSource::dockerhub:
    case ImportSource::zot:
      break;
  }
  return document;
}

}  // namespace stele::policy
