#pragma once
// One value of each type: read from YAML or from a variable's or flag's text, printed as YAML, described.

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "config/yaml_document.hpp"
#include "server/config/keys.hpp"

namespace stele::config {

// Reads `node` into the key's place. On a problem, adds it under `file`, leaves the place alone and returns
// false.
bool read_value(const Key& key, const YamlNode& node, std::string_view file, Config& into,
                ConfigProblems& problems);

// The same from plain text: lists are separated by commas, rules are YAML in flow form. `origin` is the
// variable's or flag's name.
bool read_text(const Key& key, std::string_view text, std::string_view origin, Config& into,
               ConfigProblems& problems);

// In YAML's flow form, on one line; read_value takes it back unchanged. Does not change the Config (a Field
// is a way in for both directions).
std::string print_value(const Key& key, Config& config);

// "4000000 to 64MiB": for sizes, counts and durations.
std::string describe_bounds(const Key& key);

// "size, 4000000 to 64MiB": for the manual.
std::string describe_type(const Key& key);

// The key's JSON Schema, with its description and default.
nlohmann::ordered_json value_schema(const Key& key);

}  // namespace stele::config
