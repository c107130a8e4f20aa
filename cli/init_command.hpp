#pragma once
// `stele init`: a directory with a configuration that can face a network.

namespace CLI {
class App;
}

namespace stele {

void add_init_command(CLI::App& app, int& exit_status);

}  // namespace stele
