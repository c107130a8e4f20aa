#pragma once
// Internal to policy/: the section quotas of policy.yaml.

#include <vector>

#include "policy/quotas.hpp"
#include "policy/section_reader.hpp"

namespace stele::policy {

class QuotasReader : private SectionReader {
 public:
  using SectionReader::SectionReader;

  void read(const config::YamlNode&);
  // Once everything is read: warns of what never decides.
  void finish();

  std::vector<Quota> quotas;

 private:
  void read_quota(const config::YamlNode&);

  std::vector<TextPosition> places_;
};

}  // namespace stele::policy
