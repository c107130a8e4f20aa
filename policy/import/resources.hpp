#pragma once
// Internal to policy/import/: the resources of a document that Terraform or CloudFormation reads or writes,
// and which of them an importer does not read. A document of many resources is where a protection is most
// easily overlooked.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/yaml_document.hpp"
#include "policy/import/import.hpp"

namespace stele::policy {

struct Resource {
  std::string type;  // aws_ecr_repository, AWS::ECR::Repository; "module" for what a .tf.json only names
  config::YamlNode values;
  TextPosition at;
};

// Of a mapping; nullptr when it is none, or has no such member.
config::YamlNode* find_member(config::YamlNode& node, std::string_view key);

// Of `terraform show -json` (a state or a plan, with child modules), of a .tf.json, or of a CloudFormation
// template. Takes their values out of the document. Empty for any other document.
std::vector<Resource> take_resources(config::YamlNode& root);

// The types that the importer of this system reads: none for those that have no such documents.
std::span<const std::string_view> read_types(ImportSource);

// What is to be said of resources that are of this system and are not read.
struct UnreadResources {
  std::string type;
  TextPosition at;  // of the first
  std::string what;
  bool may_protect = false;  // it is an error then
};

// One for each type, in the order of the document. Resources of other systems are none of its business.
std::vector<UnreadResources> unread_among(ImportSource, std::span<const Resource>);

}  // namespace stele::policy
