#pragma once
// stele mirror updates | approve

namespace CLI {
class App;
}

namespace stele {

// Adds them to `stele mirror`.
void add_mirror_updates_commands(CLI::App& mirror, int& exit_status);

}  // namespace stele
