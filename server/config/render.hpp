#pragma once
// A configuration and its keys, written out: `stele config print`, `config schema`, and the table of the
// manual.

#include <string>

#include "server/config/load.hpp"

namespace stele {

// The effective configuration as YAML that loads to the same values; a comment names the origin of each.
std::string print_config(const LoadedConfig& loaded);

// JSON Schema (2020-12) of the configuration file, for editors; indented, ended by a newline.
std::string config_schema();

// The Markdown table of all keys that stands in docs/configuration.md.
std::string config_table();

}  // namespace stele
