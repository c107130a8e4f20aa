#pragma once
// Internal to policy/: the section access_rules of policy.yaml.

#include <optional>
#include <vector>

#include "policy/access_rules.hpp"
#include "policy/section_reader.hpp"

namespace stele::policy {

class AccessReader : private SectionReader {
 public:
  using SectionReader::SectionReader;

  void read(const config::YamlNode&);
  // Once everything is read: warns of what never counts.
  void finish();

  // Nothing: the file has no such section.
  std::optional<std::vector<AccessRule>> rules;

 private:
  void read_rule(const config::YamlNode&);
  void read_who(const config::YamlNode&, std::vector<Who>&);
  void read_claims(const config::YamlNode&, std::vector<Who>&);
  void add_who(TextPosition at, Result<Who> who, std::vector<Who>&);
  void read_rights(const config::YamlNode&, Rights&);
  void warn_of_idle_rights(const AccessRule&, TextPosition at);
  void warn_of_covered(std::size_t rule);
  void warn_of_no_administrator();

  TextPosition section_;
  std::vector<TextPosition> places_;
};

}  // namespace stele::policy
