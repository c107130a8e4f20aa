#pragma once
// Internal to policy/: the section pull_rules of policy.yaml.

#include "policy/access_rules.hpp"
#include "policy/rules.hpp"
#include "policy/section_reader.hpp"

namespace stele::policy {

class PullRulesReader : private SectionReader {
 public:
  using SectionReader::SectionReader;

  void read(const config::YamlNode&);

  // Once everything is read: warns where anonymous pulls are bound. `access`: null without access rules.
  void finish(const std::vector<AccessRule>* access);

  std::vector<PullRule> rules;

 private:
  void read_rule(const config::YamlNode&);

  std::vector<TextPosition> places_;
};

}  // namespace stele::policy
