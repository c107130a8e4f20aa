#include "policy/load.hpp"

#include <stdexcept>

#include "base/printable.hpp"
#include "config/yaml_document.hpp"
#include "policy/access_reader.hpp"
#include "policy/lifecycle_reader.hpp"
#include "policy/pull_rules_reader.hpp"
#include "policy/quotas_reader.hpp"
#include "policy/tag_rules_reader.hpp"

namespace stele::policy {
namespace {

using config::YamlNode;

constexpr std::string_view sections[] = {"version",      "tag_rules", "default",   "pull_rules",
                                         "access_rules", "quotas",    "lifecycle", "lifecycle_rules"};

class Reader : private SectionReader {
 public:
  Reader(std::string_view file, Loaded& loaded)
      : SectionReader(file, loaded),
        tag_rules_(file, loaded),
        pull_rules_(file, loaded),
        access_(file, loaded),
        quotas_(file, loaded),
        lifecycle_(file, loaded) {}

  void read(const YamlNode& root) {
    if (root.kind != YamlNode::Kind::mapping)
      return fail(root.at, "a policy is a mapping with version: 1 and tag_rules, not " +
                               std::string(config::kind_name(root.kind)));
    bool has_version = false;
    for (const YamlNode& child : root.children) {
      if (child.key == "version") {
        has_version = true;
        if (child.text != "1") fail(child.at, "version must be 1, the only version of this format");
      } else if (child.key == "tag_rules") {
        tag_rules_.read_tag_rules(child);
      } else if (child.key == "default") {
        tag_rules_.read_default(child);
      } else if (child.key == "pull_rules") {
        pull_rules_.read(child);
      } else if (child.key == "access_rules") {
        access_.read(child);
      } else if (child.key == "quotas") {
        quotas_.read(child);
      } else if (child.key == "lifecycle") {
        lifecycle_.read_settings(child);
      } else if (child.key == "lifecycle_rules") {
        lifecycle_.read_rules(child);
      } else {
        unknown_key(child, sections, "in a policy");
      }
    }
    if (!has_version) fail({1, 1}, "version is missing; begin the file with version: 1");
    tag_rules_.find_unreachable();
    access_.finish();
    pull_rules_.finish(access_.rules ? &*access_.rules : nullptr);
    quotas_.finish();
    lifecycle_.finish();
    lifecycle_.warn_of_idle_entries(tag_rules_.rules, tag_rules_.otherwise);
  }

  std::shared_ptr<const Policy> policy(std::string_view text) {
    try {
      std::shared_ptr<const AccessRules> access;
      if (access_.rules) access = std::make_shared<const AccessRules>(std::move(*access_.rules));
      return std::make_shared<const Policy>(
          Rules{std::move(tag_rules_.rules), std::move(tag_rules_.otherwise), std::move(pull_rules_.rules),
                std::make_shared<const Lifecycle>(std::move(lifecycle_.settings), lifecycle_.rules),
                std::move(access), std::make_shared<const Quotas>(std::move(quotas_.quotas))},
          std::string(text));
    } catch (const std::invalid_argument& refused) {
      fail({}, printable(refused.what()));  // each pattern is good, all together are too many
      return nullptr;
    }
  }

 private:
  TagRulesReader tag_rules_;
  PullRulesReader pull_rules_;
  AccessReader access_;
  QuotasReader quotas_;
  LifecycleReader lifecycle_;
};

}  // namespace

Loaded load_policy(std::string_view text, std::string_view file) {
  Loaded loaded;
  YamlNode root;
  Reader reader(file, loaded);
  if (config::parse_yaml(text, file, root, loaded.problems)) reader.read(root);
  loaded.problems.sort(file);
  loaded.warnings.sort(file);
  if (loaded.problems.empty()) loaded.policy = reader.policy(text);
  return loaded;
}

}  // namespace stele::policy
