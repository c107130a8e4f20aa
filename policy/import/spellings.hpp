#pragma once
// Internal to policy/import/: the same settings are written in several ways, by a system's API, its command
// line, Terraform and CloudFormation. The importers read one of them.

#include <vector>

#include "config/yaml_document.hpp"
#include "policy/import/import.hpp"
#include "policy/import/resources.hpp"

namespace stele::policy {

// The document as the system's API writes it. Where resources were taken out of it, those that are read, in
// the list that the API would give. What it does not know it leaves as it is.
config::YamlNode in_one_spelling(ImportSource, config::YamlNode document, std::vector<Resource> resources);

}  // namespace stele::policy
