#include "cli/serve_command.hpp"

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/config_command.hpp"
#include "server/run_server.hpp"

namespace stele {

void add_serve_command(CLI::App& app, const std::string& version, int& exit_status) {
  CLI::App* command = app.add_subcommand("serve", "Run the registry");
  auto flags = std::make_shared<ConfigFlags>();
  add_config_flags(*command, *flags);
  command->callback([flags, version, &exit_status] {
    const auto loaded = load_config_or_complain(*flags);
    exit_status = loaded ? run_server(loaded->config, version) : 2;
  });
}

}  // namespace stele
