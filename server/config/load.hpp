#pragma once
// From a file, the environment and flags to a Config, with the origin of each value. Flags win over
// variables, variables over the file, the file over the defaults. A load reports every problem it can find,
// not the first.

#include <boost/system/result.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config_problem.hpp"
#include "server/config/config.hpp"

namespace stele {

// The flags that `stele serve` and `stele config` share; cli/config_command.hpp registers them.
struct ConfigFlags {
  std::optional<std::string> config;  // the file to read
  std::optional<std::string> listen;
  std::optional<std::string> data;
  std::optional<std::string> policy;
  bool insecure = false;
};

struct EnvironmentVariable {
  std::string name;
  std::string value;
};

// The variables of this process whose names begin with STELE_. Not to be called beside setenv().
std::vector<EnvironmentVariable> stele_environment();

struct ConfigSources {
  ConfigFlags flags;
  std::vector<EnvironmentVariable> environment;
};

// Where a value came from.
struct ConfigOrigin {
  enum class Kind { built_in, file, environment, flag };
  Kind kind = Kind::built_in;
  std::string name;  // the file, variable or flag; empty for a default
  TextPosition at;   // in the file

  std::string to_string() const;  // "default", "file stele.yaml:3", "env STELE_DATA", "flag --data"
};

struct LoadedConfig {
  Config config;
  std::vector<ConfigOrigin> origins;  // one per key, in the order of config::keys()
  std::string file;                   // that was read; empty when there was none
};

using ConfigResult = boost::system::result<LoadedConfig, ConfigProblems>;

// The one entry that does I/O: reads the file named by --config or STELE_CONFIG, when there is one, of at
// most max_config_bytes. It does not look at what the paths in it name.
ConfigResult load_config(const ConfigSources& sources);

// A file's text alone, with no environment and no flags. Takes any bytes, in bounded time and memory;
// `file_name` is only for messages.
ConfigResult parse_config_text(std::string_view yaml, std::string_view file_name);

}  // namespace stele
