#pragma once

namespace CLI {
class App;
}

namespace stele {

// stele mirror status | updates | approve
void add_mirror_command(CLI::App& app, int& exit_status);

}  // namespace stele
