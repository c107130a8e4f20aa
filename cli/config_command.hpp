#pragma once
// `stele config check|print|schema`, and the flags that choose a configuration.

#include "server/config/load.hpp"

namespace CLI {
class App;
}

namespace stele {

// Adds --config, --listen, --data, --policy and --insecure. `flags` must outlive the parse.
void add_config_flags(CLI::App& command, ConfigFlags& flags);

// Adds `config` and its subcommands. The one that is chosen runs while `app` parses its arguments and leaves
// its exit status in `exit_status`, which must outlive the parse: 0, or 2 for a configuration that is not
// valid.
void add_config_command(CLI::App& app, int& exit_status);

// What `serve` has to do first: flags, environment and file to a configuration, or the problems on stderr and
// nothing.
std::optional<LoadedConfig> load_config_or_complain(const ConfigFlags& flags);

}  // namespace stele
