#pragma once

namespace CLI {
class App;
}

namespace stele {

// `stele robot …`, `stele token …`
void add_robot_commands(CLI::App& app, int& exit_status);

}  // namespace stele
