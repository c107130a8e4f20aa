#pragma once
// The lifecycle sections of a policy, read as load_policy() will.

#include <memory>
#include <string>

#include "config/yaml_document.hpp"
#include "policy/lifecycle_reader.hpp"

namespace stele::policy {

class LifecycleText {
 public:
  explicit LifecycleText(const std::string& text) : reader_("p.yaml", loaded_) {
    config::YamlNode root;
    if (!config::parse_yaml(text, "p.yaml", root, loaded_.problems)) return;
    for (const config::YamlNode& child : root.children) {
      if (child.key == "lifecycle") reader_.read_settings(child);
      if (child.key == "lifecycle_rules") reader_.read_rules(child);
    }
    reader_.finish();
  }
  LifecycleText(const LifecycleText&) = delete;
  LifecycleText& operator=(const LifecycleText&) = delete;

  bool good() const { return loaded_.problems.empty(); }
  std::string problems() const { return loaded_.problems.to_string(); }
  std::string warnings() const { return loaded_.warnings.to_string(); }
  const LifecycleSettings& settings() const { return reader_.settings; }
  const std::vector<LifecycleRule>& rules() const { return reader_.rules; }
  std::unique_ptr<const Lifecycle> compiled() const {
    return std::make_unique<const Lifecycle>(reader_.settings, reader_.rules);
  }

 private:
  Loaded loaded_;
  LifecycleReader reader_;
};

}  // namespace stele::policy
