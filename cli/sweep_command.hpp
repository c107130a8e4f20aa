#pragma once
// `stele sweep`: removes files that no catalog row speaks of, now instead of at the next scheduled pass.

namespace CLI {
class App;
}

namespace stele {

// Exit status: 0, or 1 when the server could not be asked or something could not be removed.
void add_sweep_command(CLI::App& app, int& exit_status);

}  // namespace stele
