#pragma once
// Internal to policy/: the sections tag_rules and default of policy.yaml.

#include "policy/rules.hpp"
#include "policy/section_reader.hpp"

namespace stele::policy {

// Without the sections the built-in rules stay.
class TagRulesReader : private SectionReader {
 public:
  using SectionReader::SectionReader;

  void read_tag_rules(const config::YamlNode&);
  void read_default(const config::YamlNode&);
  // Once everything is read: warns of rules that never decide.
  void find_unreachable();

  std::vector<TagRule> rules = built_in_rules();
  TagRule otherwise = built_in_default();

 private:
  void read_rule(const config::YamlNode&, TagRule&, bool named);
  void read_mutability(const config::YamlNode&, Mutability&);
  void read_lock(const config::YamlNode&, std::optional<Lock>&);
  // True for `yes`; nothing after a complaint.
  std::optional<bool> read_either(const config::YamlNode&, std::string_view yes, std::string_view no);

  std::vector<TextPosition> places_;
};

}  // namespace stele::policy
