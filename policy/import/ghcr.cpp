// GitHub Container Registry: it has no immutable tags; what there is are workflows that delete package
// versions (actions/delete-package-versions). A version of a container package is a manifest, and its name
// there is the digest.

#include <algorithm>

#include "base/printable.hpp"
#include "base/text.hpp"
#include "policy/import/importer.hpp"

namespace stele::policy {
namespace {

// Released versions, as the action tells them from pre-releases.
constexpr std::string_view released = "/v?[0-9]+(\\.[0-9]+)*/";

}  // namespace

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
    const std::string subject = "step " + std::to_string(steps);
    if (inputs == nullptr) return fail(node.at, subject + " lacks its inputs (with)");
    const std::string_view package = text_member(*inputs, "package-name");
    read_ghcr_step(*inputs, subject + (package.empty() ? "" : " (package " + std::string(package) + ")"));
  }
  for (const YamlNode& child : node.children) find_ghcr_steps(child, steps);
}

// Empty when the step is left out, or after a complaint.
std::string Importer::ghcr_repository(const YamlNode& inputs, const std::string& subject) {
  const std::string_view package = text_member(inputs, "package-name");
  std::string owner(text_member(inputs, "owner"));
  if (package.empty()) {
    left_out(subject, "it names no package");
    return {};
  }
  if (package.find("${{") != std::string_view::npos || owner.find("${{") != std::string::npos) {
    left_out(subject, "the names of its package or owner are known only when the workflow runs");
    return {};
  }
  if (owner.empty() && under_.empty()) {
    fail(inputs.at, subject +
                        " does not say whose the package is, and a rule that removes must not be guessed at; "
                        "name the owner with --under OWNER");
    return {};
  }
  owner = lower_case(owner);
  return local_path(inputs, (owner.empty() ? owner : owner + "/") + std::string(package));
}

bool Importer::is_ghcr_step_read(const YamlNode& inputs, const std::string& subject) {
  for (const YamlNode& input : inputs.children) {
    constexpr std::string_view known[] = {"package-version-ids",
                                          "owner",
                                          "package-name",
                                          "package-type",
                                          "num-old-versions-to-delete",
                                          "min-versions-to-keep",
                                          "ignore-versions",
                                          "delete-only-pre-release-versions",
                                          "delete-only-untagged-versions",
                                          "token"};
    if (std::find(std::begin(known), std::end(known), input.key) == std::end(known)) {
      fail(input.key_at, subject + ": the input " + in_quotes(input.key) + " is not known");
      return false;
    }
    if (input.key != "token" && input.key != "owner" && input.key != "package-name" &&
        input.text.find("${{") != std::string::npos) {
      left_out(subject, input.key + " is known only when the workflow runs");
      return false;
    }
  }
  if (const std::string_view type = text_member(inputs, "package-type");
      type != "container" && type != "docker") {
    left_out(subject, "its packages are not containers");
    return false;
  }
  if (!text_member(inputs, "package-version-ids").empty()) {
    left_out(subject, "it deletes single versions (package-version-ids)");
    return false;
  }
  return true;
}

void Importer::read_ghcr_step(const YamlNode& inputs, const std::string& subject) {
  if (!is_ghcr_step_read(inputs, subject)) return;
  const std::string repository = ghcr_repository(inputs, subject);
  if (repository.empty()) return;
  const bool untagged_only = is_true(inputs, "delete-only-untagged-versions");
  const bool pre_releases_only = is_true(inputs, "delete-only-pre-release-versions");
  const bool keeps_some = member(inputs, "min-versions-to-keep") != nullptr;
  if (!keeps_some && !pre_releases_only)
    return left_out(
        subject,
        "it deletes a number of the oldest versions each time it runs (num-old-versions-to-delete), "
        "down to nothing; {newest_pushed: N} in keep says how many stay");
  std::uint32_t count = 0;
  if (keeps_some) {
    const auto number = number_member(inputs, "min-versions-to-keep", subject, 0);
    if (!number) return;
    count = *number;
  }
  differs(subject,
          "the manifests of an index's platforms are versions there, are counted and are deleted without the "
          "index; here they stay as long as an index lists them");
  std::vector<LifecycleEntry> keep, expire(1);
  if (untagged_only) {
    if (count > 0)
      return left_out(subject,
                      "untagged manifests are not counted here; {untagged: true, older_than: 7d} in expire "
                      "removes them by age");
    expire.front().untagged = true;
    return add_lifecycle("ghcr-untagged", {repository}, {}, std::move(expire));
  }
  std::vector<std::string> spared;  // take no slot of those that stay
  if (pre_releases_only) {
    spared.emplace_back(released);
    differs(
        subject,
        "takes a version for released by its name, which is a digest there, so that it may delete released "
        "images too; here an image stays that has a tag such as 1.4.2 or v1");
  }
  if (const YamlNode* const ignored = member(inputs, "ignore-versions")) {
    std::string pattern = anywhere(*ignored, subject);
    if (pattern.empty()) return;
    spared.push_back(std::move(pattern));
    differs(
        subject,
        "holds ignore-versions against the digest, which is a version's name there; here against the tags");
  }
  std::vector<std::string> counted{"**"};
  for (const std::string& pattern : spared) {
    keep.emplace_back().tags = {pattern};
    counted.push_back("!" + pattern);
  }
  if (count > 0) {
    LifecycleEntry& newest = keep.emplace_back();
    if (!spared.empty()) newest.tags = counted;
    newest.newest_pushed = count;
    differs(subject,
            "counts untagged versions too; here only images with tags are counted, and an untagged one goes "
            "unless something that stays needs it");
  }
  expire.front().everything_else = true;
  add_lifecycle("ghcr-" + repository.substr(repository.rfind('/') + 1), {repository}, std::move(keep),
                std::move(expire));
}

}  // namespace stele::policy
