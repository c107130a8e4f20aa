#pragma once
// Internal to policy/: what the readers of policy.yaml's sections share.

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/yaml_document.hpp"
#include "policy/load.hpp"

namespace stele::policy {

class SectionReader {
 public:
  SectionReader(std::string_view file, Loaded& loaded) : file_(file), loaded_(loaded) {}

 protected:
  using YamlNode = config::YamlNode;

  void fail(TextPosition at, std::string message);
  void warn(TextPosition at, std::string message);
  void unknown_key(const YamlNode& child, std::span<const std::string_view> known, const std::string& where);

  // False after a complaint.
  bool read_text(const YamlNode& node, const std::string& what);
  // A rule's name, which no other rule of the section has.
  bool read_name(const YamlNode& node, std::string& name);
  void complain_of_missing_name(const YamlNode& rule);
  void read_patterns(const YamlNode& node, const std::string& what, std::vector<std::string>& patterns);
  // One of these words; empty after a complaint, which says which was meant.
  std::string read_word(const YamlNode& node, std::span<const std::string_view> words);

  // Such as 90d or 7y, at least a second and at most 100 years; left as it is after a complaint.
  void read_duration(const YamlNode& node, std::int64_t& seconds);
  // A number of bytes, or 50GiB; nothing after a complaint.
  void read_size(const YamlNode& node, std::optional<std::uint64_t>& bytes);

  bool no_problems() const { return loaded_.problems.empty(); }

 private:
  const std::string_view file_;
  Loaded& loaded_;
  std::map<std::string, int> names_;
};

}  // namespace stele::policy
