// GitHub Container Registry: it has no immutable tags; what there is are workflows that delete package
// versions.

#include "policy/import/importer.hpp"

namespace stele::policy {

void Importer::read_ghcr(const YamlNode& root) {
  std::size_t steps = 0;
  find_ghcr_steps(root, steps);
  if (steps == 0) {
    return fail(
        root.at,
        "no step uses actions/delete-package-versions, which is the only document about tags that GHCR has");
  }
  differs("tags",
          "all are mutable, as there; without a policy, full versions and commit tags would be immutable");
}

void Importer::find_ghcr_steps(const YamlNode& node, std::size_t& steps) {
  if (text_member(node, "uses").starts_with("actions/delete-package-versions@")) {
    ++steps;
    const YamlNode* const inputs = member(node, "with");
    const std::string_view package =
        inputs == nullptr ? std::string_view() : text_member(*inputs, "package-name");
    lifecycle_differs("step " + std::to_string(steps) +
                      (package.empty() ? "" : " (package " + std::string(package) + ")"));
  }
  for (const YamlNode& child : node.children) find_ghcr_steps(child, steps);
}

}  // namespace stele::policy
