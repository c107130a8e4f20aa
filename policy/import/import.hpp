#pragma once
// Other registries' own documents about tags, turned into a policy: what they say of moving and deleting tags
// becomes tag rules, their clean-up rules become lifecycle rules with the same survivors, and what has no
// equivalent, or means something else here, is listed.

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/config_problem.hpp"

namespace stele::policy {

// ecr        `aws ecr describe-repositories`, a repository creation template, a lifecycle policy
// gar        `gcloud artifacts repositories describe` or `list`, a cleanup policy file
// harbor     the immutability rules or the retention policy of a project, from its API
// ghcr       a workflow with steps of actions/delete-package-versions
// dockerhub  a repository, or a list of them, from its API
// zot        its configuration file, of which storage.retention is read
enum class ImportSource { ecr, gar, harbor, ghcr, dockerhub, zot };

std::span<const std::string_view>
import_sources();  // as the command line takes them, in the order of the enum

// What the result does not do, or does otherwise, than the system that the document is from.
struct Difference {
  std::string subject;  // "rule 2", "repository team/app", "immutable tags"
  std::string what;
};

struct Imported {
  std::string
      policy;  // a policy.yaml that loads, with the differences as comments; empty when there are problems
  std::vector<Difference> differences;
  ConfigProblems problems;  // of the document
};

// Reads JSON or YAML; any bytes are taken. `under`: the path under which that system's repositories lie here,
// for Harbor the project, which its documents do not name; empty for none. Clean-up rules are taken only
// where it is known of which repositories they speak.
Imported import_policy(ImportSource, std::string_view text, std::string_view file, std::string_view under);

}  // namespace stele::policy
