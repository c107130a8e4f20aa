#pragma once
// Internal to policy/: the sections lifecycle and lifecycle_rules of policy.yaml.

#include "policy/lifecycle_rules.hpp"
#include "policy/rules.hpp"
#include "policy/section_reader.hpp"

namespace stele::policy {

class LifecycleReader : private SectionReader {
 public:
  using SectionReader::SectionReader;

  void read_settings(const config::YamlNode&);
  void read_rules(const config::YamlNode&);
  // Once both are read: warns of what does nothing, or more than somebody may think.
  void finish();
  // Of expire entries of which it is certain that tag rules or keep entries leave nothing to them.
  void warn_of_idle_entries(const std::vector<TagRule>& tag_rules, const TagRule& otherwise);

  LifecycleSettings settings;
  std::vector<LifecycleRule> rules;

 private:
  void read_rule(const config::YamlNode&);
  void read_entries(const config::YamlNode&, bool expires, std::vector<LifecycleEntry>&);
  void read_entry(const config::YamlNode&, bool expires, LifecycleEntry&);
  // False when the key is none of the group's.
  bool read_filter(const config::YamlNode&, LifecycleEntry&);
  bool read_rank(const config::YamlNode&, LifecycleEntry&);
  bool read_expiry(const config::YamlNode&, LifecycleEntry&);
  void complain_of_key(const config::YamlNode&, bool expires);
  void complain_of_ages(const config::YamlNode&, const LifecycleEntry&);
  void complain_of_company(const config::YamlNode&, const LifecycleEntry&);

  void read_windows(const config::YamlNode&);
  void read_fraction(const config::YamlNode&);
  void read_pattern_or_list(const config::YamlNode&, const std::string& what, std::vector<std::string>&);
  void read_labels(const config::YamlNode&, std::vector<LabelSelector>&);
  void read_duration_into(const config::YamlNode&, std::optional<std::int64_t>&);
  void read_true(const config::YamlNode&, bool&);
  // Nothing after a complaint.
  std::optional<std::uint64_t> read_number(const config::YamlNode&, std::uint64_t lowest,
                                           std::uint64_t highest);

  void warn_of_idle_keeps();
  void warn_of_ranks_without_untagged();

  const LifecycleRule* surely_keeping(const LifecycleRule&, const LifecycleEntry& expire) const;

  struct Places {
    TextPosition rule;
    std::vector<TextPosition> expire;  // of its entries
  };
  TextPosition settings_at_, rules_at_;  // line 0: absent
  std::vector<Places> places_;           // beside `rules`
};

}  // namespace stele::policy
