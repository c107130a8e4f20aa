#pragma once

namespace CLI {
class App;
}

namespace stele {

// `stele robot …`
void add_robot_commands(CLI::App& app, int& exit_status);

}  // namespace stele
