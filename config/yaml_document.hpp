#pragma once
// YAML as configuration needs it: mappings with text keys, sequences and text, each with its place in the
// file. No anchors, aliases, tags or further documents, which nobody needs here and which make a small file
// large.

#include <string>
#include <string_view>
#include <vector>

#include "config/config_problem.hpp"

namespace stele::config {

struct YamlNode {
  enum class Kind { null, scalar, sequence, mapping };
  Kind kind = Kind::null;
  TextPosition at;
  std::string text;                // of a scalar
  std::vector<YamlNode> children;  // of a sequence or mapping, in the order of the file
  std::string key;                 // of a mapping's child
  TextPosition key_at;
};

// Reads one document. Any bytes are taken: more than max_config_bytes, 16 levels or 20,000 values, or
// anything that is not the YAML described above is a problem. Returns false when there is no tree at all; a
// duplicate key or a tag is reported, and the rest of the tree is still good for finding further problems.
bool parse_yaml(std::string_view text, std::string_view file_name, YamlNode& root, ConfigProblems& problems);

// "a list", for messages.
std::string_view kind_name(YamlNode::Kind);

// One scalar, quoted where YAML needs it.
std::string yaml_scalar(std::string_view text);

}  // namespace stele::config

namespace stele {

// Of one file, without a byte order mark.
inline constexpr std::size_t max_config_bytes = 1 << 20;

}  // namespace stele
