#pragma once
// Internal to policy/: the section pull_rules of policy.yaml.

#include "policy/rules.hpp"
#include "policy/section_reader.hpp"

namespace stele::policy {

class PullRulesReader : private SectionReader {
 public:
  using SectionReader::SectionReader;

  void read(const config::YamlNode&);

  std::vector<PullRule> rules;

 private:
  void read_rule(const config::YamlNode&);
};

}  // namespace stele::policy
